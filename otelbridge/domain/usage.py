"""Usage: token records normalised to one arithmetic, whatever the provider or era.

A gateway counts cached tokens out of the input, the GenAI conventions count
them in. Counts that older gateways send only as metadata are found here too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelbridge.domain.records import MetadataValue, TokensUsed

# Anthropic, OpenAI chat completions, OpenAI Responses: the first that is there counts.
_CACHE_READ = ("cache_read_input", "prompt_cached", "input_cached")
_CACHE_WRITE = ("cache_creation_input",)
_CACHE_WRITE_5M = ("cache_ephemeral_5m_input",)
_CACHE_WRITE_1H = ("cache_ephemeral_1h_input",)
_REASONING = ("completion_reasoning", "output_reasoning")
_AUDIO_INPUT = ("prompt_audio",)
_AUDIO_OUTPUT = ("completion_audio",)
_WEB_SEARCH = ("web_search_requests",)
_TOTAL = ("total_tokens",)  # the sum of others: telling it would count twice

#: Metadata keys of token records that are told as usage and not as metadata.
USAGE_KEYS = frozenset(
    (
        *_CACHE_READ,
        *_CACHE_WRITE,
        *_CACHE_WRITE_5M,
        *_CACHE_WRITE_1H,
        *_REASONING,
        *_AUDIO_INPUT,
        *_AUDIO_OUTPUT,
        *_WEB_SEARCH,
        *_TOTAL,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one record, or the sum over several; no count is negative.

    Attributes:
        input_tokens: All input tokens, cached ones included.
        output_tokens: All output tokens, reasoning included.
        cache_read: Input tokens read from the provider's cache.
        cache_write: Input tokens written to the provider's cache.
        cache_write_5m: The part of ``cache_write`` kept for five minutes.
        cache_write_1h: The part of ``cache_write`` kept for an hour.
        reasoning: Output tokens spent on reasoning.
        audio_input: Input tokens that are audio.
        audio_output: Output tokens that are audio.
        web_searches: Web searches that the provider ran.
        has_modality: Whether the record told audio apart from text.
        inconsistent: Whether the record broke an invariant: a negative count,
            more cached than input, more reasoning than output.
        extra: Other numeric metadata, by key.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    web_searches: int = 0
    has_modality: bool = False
    inconsistent: bool = False
    extra: Mapping[str, int | float] = field(default_factory=dict)


def usage_of(record: TokensUsed) -> Usage:
    """Return the record's usage.

    A typed cache field counts if it is not zero, else the metadata; never
    both. Parts are added with their sign, so that a gateway's negative
    "uncached" count still gives the provider's own input; what remains
    negative is booked as 0 and flagged.
    """
    metadata = record.metadata
    read = record.cache_read_input_tokens or _first(metadata, _CACHE_READ)
    write = record.cache_write_input_tokens or _first(metadata, _CACHE_WRITE)
    reasoning = _first(metadata, _REASONING)
    audio = (_first(metadata, _AUDIO_INPUT), _first(metadata, _AUDIO_OUTPUT))
    total = record.input_tokens + read + write
    output = record.output_tokens
    negative = min(record.input_tokens, output, read, write, reasoning, *audio) < 0
    return Usage(
        input_tokens=max(0, total),
        output_tokens=max(0, output),
        cache_read=max(0, read),
        cache_write=max(0, write),
        cache_write_5m=max(0, _first(metadata, _CACHE_WRITE_5M)),
        cache_write_1h=max(0, _first(metadata, _CACHE_WRITE_1H)),
        reasoning=max(0, reasoning),
        audio_input=max(0, audio[0]),
        audio_output=max(0, audio[1]),
        web_searches=max(0, _first(metadata, _WEB_SEARCH)),
        has_modality=any(key in metadata for key in (*_AUDIO_INPUT, *_AUDIO_OUTPUT)),
        inconsistent=negative or read + write > total or reasoning > output,
        extra=_extra(metadata) if metadata else {},
    )


def total_usage(usages: Iterable[Usage]) -> Usage:
    """Return the sum of several records' usage."""
    parts = list(usages)
    if len(parts) == 1:
        return parts[0]
    extra: dict[str, int | float] = {}
    for part in parts:
        for key, value in part.extra.items():
            extra[key] = extra.get(key, 0) + value
    return Usage(
        input_tokens=sum(part.input_tokens for part in parts),
        output_tokens=sum(part.output_tokens for part in parts),
        cache_read=sum(part.cache_read for part in parts),
        cache_write=sum(part.cache_write for part in parts),
        cache_write_5m=sum(part.cache_write_5m for part in parts),
        cache_write_1h=sum(part.cache_write_1h for part in parts),
        reasoning=sum(part.reasoning for part in parts),
        audio_input=sum(part.audio_input for part in parts),
        audio_output=sum(part.audio_output for part in parts),
        web_searches=sum(part.web_searches for part in parts),
        has_modality=any(part.has_modality for part in parts),
        inconsistent=any(part.inconsistent for part in parts),
        extra=extra,
    )


def _first(metadata: Mapping[str, MetadataValue], keys: tuple[str, ...]) -> int:
    for key in keys:
        if key in metadata:
            number = _number(metadata[key])
            return 0 if number is None else int(number)
    return 0


def _number(value: MetadataValue) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value


def _extra(metadata: Mapping[str, MetadataValue]) -> dict[str, int | float]:
    found = {}
    for key, value in metadata.items():
        if key not in USAGE_KEYS and (number := _number(value)):
            found[key] = number
    return found
