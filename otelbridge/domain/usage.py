"""Usage: token records normalised to one arithmetic, whatever the provider or era.

A gateway counts cached tokens out of the input, the GenAI conventions count
them in. Counts that older gateways send only as metadata are found here too.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

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
_AUDIO = frozenset((*_AUDIO_INPUT, *_AUDIO_OUTPUT))
_WEB_SEARCH = ("web_search_requests",)
_TOTAL = ("total_tokens",)  # the sum of others: telling it would count twice

_NUMBERS = (int, float)
# No request comes near: the largest context has ten million tokens.
_MAX_COUNT = 10**9
_NO_EXTRA: Mapping[str, int | float] = MappingProxyType({})

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


class Usage(NamedTuple):
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
    extra: Mapping[str, int | float] = _NO_EXTRA


# Fields of `Usage` before this one are counts, which add up.
_COUNTS = Usage._fields.index("has_modality")


class _Told(NamedTuple):
    """Counts that stand in a record's metadata, with their sign.

    Attributes:
        read: See `Usage.cache_read`.
        write: See `Usage.cache_write`.
        write_5m: See `Usage.cache_write_5m`.
        write_1h: See `Usage.cache_write_1h`.
        reasoning: See `Usage.reasoning`.
        audio_input: See `Usage.audio_input`.
        audio_output: See `Usage.audio_output`.
        web_searches: See `Usage.web_searches`.
    """

    read: int = 0
    write: int = 0
    write_5m: int = 0
    write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    web_searches: int = 0


_NOTHING = _Told()
# What each count of `_Told` is called.
_PLACES = (
    _CACHE_READ,
    _CACHE_WRITE,
    _CACHE_WRITE_5M,
    _CACHE_WRITE_1H,
    _REASONING,
    _AUDIO_INPUT,
    _AUDIO_OUTPUT,
    _WEB_SEARCH,
)
_PLACE_OF = {
    key: (-rank, place, key) for place, keys in enumerate(_PLACES) for rank, key in enumerate(keys)
}


def usage_of(record: TokensUsed) -> Usage:
    """Return the record's usage.

    A typed cache field counts if it is not zero, else the metadata; never
    both. Parts are added with their sign, so that a gateway's negative
    "uncached" count still gives the provider's own input; what remains
    negative is booked as 0 and flagged. So is a count that no request can
    have: it is cut to 10^9, or a few of them would overflow the ledger.
    """
    metadata = record.metadata
    told = _told(metadata) if metadata else _NOTHING
    read = record.cache_read_input_tokens or told.read
    write = record.cache_write_input_tokens or told.write
    total = record.input_tokens + read + write
    output = record.output_tokens
    counts: tuple[int, ...] = (total, output, read, write, *told[2:])
    smallest = min(record.input_tokens, *counts)
    # More cached than input means that the uncached part is negative.
    inconsistent = smallest < 0 or told.reasoning > output
    if smallest < 0 or max(counts) > _MAX_COUNT:
        inconsistent = True
        counts = tuple(min(max(0, count), _MAX_COUNT) for count in counts)
    has_modality = bool(metadata) and not metadata.keys().isdisjoint(_AUDIO)
    extra = _extra(metadata) if metadata else _NO_EXTRA
    return Usage._make((*counts, has_modality, inconsistent, extra))


def total_usage(usages: Iterable[Usage]) -> Usage:
    """Return the sum of several records' usage; nothing was used if there are none."""
    parts = list(usages)
    return reduce(_plus, parts) if parts else Usage()


def _plus(first: Usage, second: Usage) -> Usage:
    extra = first.extra
    if second.extra:
        extra = dict(extra)
        for key, value in second.extra.items():
            extra[key] = extra.get(key, 0) + value
    return Usage._make(
        (
            *map(add, first[:_COUNTS], second),
            first.has_modality or second.has_modality,
            first.inconsistent or second.inconsistent,
            extra,
        )
    )


def _told(metadata: Mapping[str, MetadataValue]) -> _Told:
    counts = [0] * len(_PLACES)
    found = [_PLACE_OF[key] for key in metadata if key in _PLACE_OF]
    if len(found) > 1:
        found.sort()
    # Of several names of one count the first of its row is the last to be written.
    for _, place, key in found:
        number = _number(metadata[key])
        counts[place] = 0 if number is None else int(number)
    return _Told._make(counts)


def _number(value: MetadataValue) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, _NUMBERS) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value


def _extra(metadata: Mapping[str, MetadataValue]) -> dict[str, int | float]:
    found = {}
    for key, value in metadata.items():
        if key not in USAGE_KEYS and (number := _number(value)):
            found[key] = number
    return found
