"""Attributes of records: the field table, one function for each kind of record."""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING
from uuid import UUID

from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry import wire
from otelbridge.telemetry.cost import total_of
from otelbridge.telemetry.limits import MAX_TEXT, MAX_USER_AGENT, Cutter
from otelbridge.telemetry.metadata import USERNAME
from otelbridge.telemetry.servers import server_attributes, tool_error_type

if TYPE_CHECKING:
    from otelbridge.domain.ports import Cost
    from otelbridge.domain.records import InterceptionStarted, ModelThought, PromptUsed, ToolUsed
    from otelbridge.domain.usage import Usage

# Fields of a start that are told as they are, if they are not empty. They are the same for
# all interceptions of a session.
_SESSION_FIELDS = (
    ("api_key_id", sc.API_KEY_ID, MAX_TEXT),
    ("client", sc.AGENT_NAME, MAX_TEXT),
    ("client", sc.CLIENT, MAX_TEXT),
    ("user_agent", sc.AGENT_ORIGINAL, MAX_USER_AGENT),
    ("client_session_id", sc.CONVERSATION_ID, MAX_TEXT),
    ("credential_kind", sc.CREDENTIAL_KIND, MAX_TEXT),
    ("agent_firewall_session_id", sc.FIREWALL_SESSION, MAX_TEXT),
    ("workspace_id", sc.WORKSPACE_ID, MAX_TEXT),
)
_session_values = attrgetter(*[field for field, _, _ in _SESSION_FIELDS])
# Parts of usage that are told if they are not zero.
_USAGE_PARTS = (
    ("reasoning", sc.REASONING_TOKENS),
    ("audio_input", sc.AUDIO_INPUT),
    ("audio_output", sc.AUDIO_OUTPUT),
    ("cache_write_5m", sc.CACHE_WRITE_5M),
    ("cache_write_1h", sc.CACHE_WRITE_1H),
    ("web_searches", sc.WEB_SEARCHES),
)
# Components of cost that are told if they are not zero.
_COST_PARTS = (
    ("cache_read", sc.COST_CACHE_READ),
    ("cache_write", sc.COST_CACHE_WRITE),
    ("web_search", sc.COST_WEB_SEARCH),
)


def start_attributes(start: InterceptionStarted, provider: str, cut: Cutter) -> list[bytes]:
    """Return what a start says of the user, the provider, the model and the client.

    Args:
        start: The start.
        provider: ``gen_ai.provider.name``.
        cut: Cuts what is too long.
    """
    username = start.metadata.get(USERNAME)
    found, cut_before = _session_attributes(
        provider,
        start.initiator_id.int,
        start.model,
        username if isinstance(username, str) else "",
        start.provider,
        start.provider_name,
        _session_values(start),
    )
    cut.count += cut_before
    own = []
    if start.correlating_tool_call_id:
        own.append(wire.text(sc.CORRELATING_CALL, cut(start.correlating_tool_call_id)))
    if start.agent_firewall_sequence_number is not None:
        own.append(wire.integer(sc.FIREWALL_SEQUENCE, start.agent_firewall_sequence_number))
    return [*found, *own]


# A session's starts differ in little else than their ids and times.
@lru_cache(maxsize=1024)
def _session_attributes(  # what a start says of its session
    provider: str,
    user: int,
    model: str,
    username: str,
    provider_type: str,
    provider_name: str,
    values: tuple[str | None, ...],
) -> tuple[tuple[bytes, ...], int]:
    """Return attributes, and how many of them were cut."""
    cut = Cutter()
    # "provider_name empty means provider" (the gateway's contract).
    gateway_provider = provider_name or provider_type
    names = (
        (sc.REQUEST_MODEL, model, MAX_TEXT),
        (sc.USER_NAME, username, MAX_TEXT),
        (sc.PROVIDER_TYPE, "" if provider_type == provider else provider_type, MAX_TEXT),
        (sc.GATEWAY_PROVIDER, gateway_provider, MAX_TEXT),
        *(
            (key, value, limit)
            for (_, key, limit), value in zip(_SESSION_FIELDS, values, strict=True)
        ),
    )
    found = (
        wire.text(sc.PROVIDER_NAME, provider),
        wire.text(sc.USER_ID, str(UUID(int=user))),
        *(wire.text(key, cut(value, limit)) for key, value, limit in names if value),
    )
    return found, cut.count


def usage_attributes(usage: Usage, profile: sc.Profile) -> list[bytes]:
    """Return token counts: input and output always, parts of them if they are not zero.

    Other counts (`otelbridge.telemetry.metadata.extra_attributes`) are not among them.
    """
    found = [
        wire.integer(sc.INPUT_TOKENS, usage.input_tokens),
        wire.integer(sc.OUTPUT_TOKENS, usage.output_tokens),
    ]
    if usage.cache_read:
        found.append(wire.integer(sc.CACHE_READ_TOKENS, usage.cache_read))
    if usage.cache_write:
        found += [wire.integer(key, usage.cache_write) for key in profile.cache_write]
    for field, key in _USAGE_PARTS:
        count = getattr(usage, field)
        if count:
            found.append(wire.integer(key, count))
    if usage.inconsistent:
        found.append(wire.boolean(sc.USAGE_INCONSISTENT, True))
    return found


def cost_attributes(cost: Cost | None, *, is_unpriced: bool) -> list[bytes]:
    """Return cost in USD: total, input and output always, the rest if it is not zero.

    Args:
        cost: The cost of what has a price; None if nothing has.
        is_unpriced: Whether something has no price.
    """
    found = []
    if cost is not None:
        found += [
            wire.double(sc.COST_TOTAL, float(total_of(cost))),
            wire.double(sc.COST_INPUT, float(cost.input)),
            wire.double(sc.COST_OUTPUT, float(cost.output)),
        ]
        for field, key in _COST_PARTS:
            amount = getattr(cost, field)
            if amount:
                found.append(wire.double(key, float(amount)))
        found.append(wire.label(sc.PRICE_ID, cost.price_id))
        found.append(wire.label(sc.PRICE_VERSION, cost.price_version))
    if is_unpriced:
        found.append(wire.boolean(sc.COST_UNPRICED, True))
    return found


def prompt_attributes(prompt: PromptUsed) -> list[bytes]:
    """Return what a prompt says without its text."""
    found = [wire.integer(sc.PROMPT_LENGTH, prompt.length)]
    if prompt.prints.fingerprint:
        found.append(wire.text(sc.PROMPT_FINGERPRINT, prompt.prints.fingerprint.hex()))
    return found


def tool_attributes(tool: ToolUsed, cut: Cutter) -> list[bytes]:
    """Return what a tool use says without its arguments."""
    found = call_attributes(tool.tool, tool.tool_call_id, cut, injected=tool.injected)
    found.append(wire.integer(sc.TOOL_INPUT_LENGTH, tool.length))
    if tool.prints.fingerprint:
        found.append(wire.text(sc.TOOL_INPUT_FINGERPRINT, tool.prints.fingerprint.hex()))
    if tool.server_url:
        found += server_attributes(tool.server_url)
    if tool.invocation_error:
        found.append(wire.label(sc.ERROR_TYPE, tool_error_type(tool.invocation_error)))
    return found


def call_attributes(tool: str, call_id: str, cut: Cutter, *, injected: bool) -> list[bytes]:
    """Return what identifies a tool call."""
    found = [wire.label(sc.TOOL_NAME, cut(tool)), *_TOOL_KINDS[injected]]
    if call_id:
        found.append(wire.text(sc.TOOL_CALL_ID, cut(call_id)))
    return found


_TOOL_KINDS = tuple(
    (wire.text(sc.TOOL_TYPE, tool_type), wire.boolean(sc.TOOL_INJECTED, injected))
    for injected, tool_type in enumerate((sc.TOOL_TYPE_FUNCTION, sc.TOOL_TYPE_EXTENSION))
)


def thought_attributes(thought: ModelThought, cut: Cutter) -> list[bytes]:
    """Return what a thought says without its text."""
    source = thought.metadata.get("source")
    if not isinstance(source, str) or not source:
        return []
    return [wire.label(sc.THOUGHT_SOURCE, cut(source))]
