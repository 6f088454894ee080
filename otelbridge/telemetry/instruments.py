"""Every instrument: name, kind, unit, description and attributes, declared once.

Source: OpenTelemetry GenAI and RPC semantic conventions; ``aibridge.*`` and
``otelbridge.*`` are our own. Units are UCUM.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry.instrument import Instrument, InstrumentKind, counter, histogram, observed

if TYPE_CHECKING:
    from collections.abc import Mapping


#: Upper bounds for token counts (GenAI conventions, ``gen_ai.client.token.usage``).
TOKEN_BOUNDS = tuple(float(4**power) for power in range(14))
#: Upper bounds for an LLM request, in seconds (``gen_ai.client.operation.duration``).
DURATION_BOUNDS = tuple(round(0.01 * 2**power, 2) for power in range(14))
#: Upper bounds for a call of the bridge, in seconds (RPC conventions).
CALL_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

#: Cost is booked in billionths of a dollar.
NANO_USD = 1e-9

# The user is a label only where `[metrics] user_label` asks for it; else its value is empty.
_MODEL = (sc.PROVIDER_NAME, sc.REQUEST_MODEL)
_AGENT = (*_MODEL, sc.CLIENT)
_OPERATION = (sc.OPERATION_NAME, *_MODEL)
_USAGE = (*_OPERATION, sc.TOKEN_MODALITY, sc.USER_ID)


def _tokens(part: str, description: str) -> Instrument:
    return counter(f"gen_ai.client.inference.usage.{part}", "{token}", description, *_USAGE)


def _operation_tokens(part: str, description: str) -> Instrument:
    name = f"gen_ai.client.inference.operation.{part}"
    keys = (*_OPERATION, sc.ERROR_TYPE)
    return histogram(name, "{token}", description, *keys, bounds=TOKEN_BOUNDS)


def _duration(name: str, description: str) -> Instrument:
    keys = (*_OPERATION, sc.ERROR_TYPE)
    return histogram(name, "s", description, *keys, bounds=DURATION_BOUNDS)


_GENAI = (
    _tokens("input_tokens", "Input tokens used, cached ones included."),
    _tokens("output_tokens", "Output tokens used, reasoning included."),
    _tokens("cache_read.input_tokens", "Input tokens read from the provider's cache."),
    _tokens("cache_write.input_tokens", "Input tokens written to the provider's cache."),
    _tokens("reasoning.output_tokens", "Output tokens spent on reasoning."),
    _operation_tokens("input_tokens", "Input tokens of an LLM request."),
    _operation_tokens("output_tokens", "Output tokens of an LLM request."),
    histogram(
        "gen_ai.client.token.usage",
        "{token}",
        "Input and output tokens of an LLM request.",
        *_OPERATION,
        sc.TOKEN_TYPE,
        bounds=TOKEN_BOUNDS,
    ),
    _duration("gen_ai.client.inference.duration", "How long an LLM request took."),
    _duration("gen_ai.client.operation.duration", "How long an LLM request took."),
)

INTERCEPTIONS = "aibridge.interceptions"
ACTIVE = "aibridge.interceptions.active"
THREADS = "aibridge.threads"
PROMPTS = "aibridge.prompts"
TOOL_CALLS = "aibridge.tool.calls"
MCP_TOOL_CALLS = "aibridge.mcp.tool.calls"
THOUGHTS = "aibridge.model_thoughts"
COST = "aibridge.cost"
UNPRICED = "aibridge.cost.unpriced"
INCONSISTENT = "aibridge.usage.inconsistent"
AUTHORIZATIONS = "aibridge.authorizations"
BUDGET_LIMIT = "aibridge.budget.limit"
BUDGET_SPENT = "aibridge.budget.spent"
BUDGET_UTILIZATION = "aibridge.budget.utilization"
CALLS_REFUSED = "otelbridge.calls.refused"
GATEWAY_ERRORS = "otelbridge.gateway.protocol_errors"
GATEWAY_SESSIONS = "otelbridge.gateway.sessions"
CONTENT_REDACTED = "otelbridge.content.redacted"
CONTENT_TRUNCATED = "otelbridge.content.truncated"
LABEL_OVERFLOW = "otelbridge.label.overflow"
SERIES_OVERFLOW = "otelbridge.series.overflow"
RECORDS_ORPHAN = "otelbridge.records.orphan"
RECORDS_LATE = "otelbridge.records.late"

_RECORDS = (
    counter(
        INTERCEPTIONS,
        "{interception}",
        "Finalised interceptions.",
        *_AGENT,
        sc.OUTCOME,
        sc.USER_ID,
    ),
    observed(
        ACTIVE,
        "{interception}",
        "Interceptions that have started and not ended.",
        *_MODEL,
        kind=InstrumentKind.UP_DOWN_COUNTER,
    ),
    counter(
        THREADS,
        "{thread}",
        "Threads begun: finalised interceptions that are the root of their own thread.",
        *_AGENT,
    ),
    counter(PROMPTS, "{prompt}", "Prompts.", *_AGENT),
    counter(
        TOOL_CALLS,
        "{call}",
        "Tools that a model asked for.",
        sc.TOOL_NAME,
        sc.TOOL_INJECTED,
        sc.ERROR_TYPE,
    ),
    counter(
        MCP_TOOL_CALLS,
        "{call}",
        "Tools that the gateway ran itself, by the MCP server that it asked.",
        sc.SERVER_ADDRESS,
        sc.ERROR_TYPE,
    ),
    counter(THOUGHTS, "{thought}", "Thoughts that a model told.", *_AGENT),
    Instrument(
        name=COST,
        kind=InstrumentKind.COUNTER,
        unit="{USD}",
        description="What the usage cost, in USD.",
        attributes=(*_AGENT, sc.COST_COMPONENT, sc.USER_ID),
        scale=NANO_USD,
    ),
    counter(UNPRICED, "{record}", "Token records for which no price is known.", *_AGENT),
    counter(INCONSISTENT, "{record}", "Token records whose counts break an invariant.", *_AGENT),
    counter(AUTHORIZATIONS, "{authorization}", "Answers about a user's key.", sc.OUTCOME),
    counter(
        "aibridge.mcp.token_requests",
        "{request}",
        "Answers about an MCP access token: token, no_server, no_link, expired, refused, failed, "
        "timeout or unreadable.",
        sc.OUTCOME,
    ),
)

# Told only where `[metrics] user_label` asks for it, of users who are a label already.
_BUDGET = (sc.USER_ID, sc.BUDGET_PERIOD)
_BUDGETS = (
    observed(BUDGET_LIMIT, "{USD}", "What a user may spend in the period, in USD.", *_BUDGET),
    observed(BUDGET_SPENT, "{USD}", "What a user has spent in the period, in USD.", *_BUDGET),
    observed(
        BUDGET_UTILIZATION,
        "1",
        "Which part of the budget is spent; it is exceeded from 1 on.",
        *_BUDGET,
    ),
)

_DELIVERY = (sc.DESTINATION, sc.SIGNAL)
_BRIDGE = (
    counter(CALLS_REFUSED, "{call}", "Calls whose caller may not make them.", sc.REASON),
    counter(
        "otelbridge.records.received",
        "{record}",
        "Well-formed records, repeats included.",
        sc.RECORD_KIND,
        sc.GATEWAY,
    ),
    counter(
        "otelbridge.records.duplicate",
        "{record}",
        "Records that had been received before.",
        sc.RECORD_KIND,
    ),
    counter(
        RECORDS_ORPHAN, "{record}", "Records of interceptions without a start.", sc.RECORD_KIND
    ),
    counter(
        RECORDS_LATE,
        "{record}",
        "Records that came after their interception was told.",
        sc.RECORD_KIND,
    ),
    counter(
        "otelbridge.records.rejected",
        "{record}",
        "Records that were refused.",
        sc.RECORD_KIND,
        sc.REASON,
    ),
    counter(
        "otelbridge.interceptions.failed",
        "{interception}",
        "Attempts to tell an interception that failed; it is tried again.",
    ),
    counter("otelbridge.records.told", "{record}", "Records of interceptions that were finalised."),
    counter(
        "otelbridge.records.lost",
        "{record}",
        "Acknowledged records that the journal has lost: its file was damaged.",
        sc.REASON,
    ),
    observed("otelbridge.journal.records", "{record}", "Records of open interceptions."),
    observed(
        "otelbridge.journal.unread",
        "{record}",
        "Records that have not been read since the start; new ones are accepted meanwhile.",
    ),
    observed("otelbridge.journal.free", "By", "Free space on the journal's disk."),
    observed(
        "otelbridge.journal.refusing",
        "1",
        "1 if the last commit failed: no record is acknowledged until one succeeds.",
    ),
    observed(
        "otelbridge.journal.disk_full",
        "1",
        "1 if the disk was full and has no space yet: the oldest telemetry is given up.",
    ),
    observed("otelbridge.journal.bytes", "By", "Size of the journal."),
    observed("otelbridge.journal.oldest_age", "s", "Age of the oldest undelivered telemetry."),
    counter("otelbridge.delivery.told", "{item}", "Items that are to be sent to it.", *_DELIVERY),
    counter(
        "otelbridge.delivery.delivered", "{item}", "Items that a destination took.", *_DELIVERY
    ),
    observed("otelbridge.delivery.waiting", "By", "Size of what waits for it.", sc.DESTINATION),
    counter(
        "otelbridge.content.shed",
        "{item}",
        "Items told without content that they could have had, because too much waits.",
        *_DELIVERY,
    ),
    counter(
        "otelbridge.delivery.rejected",
        "{item}",
        "Items that a destination will never get, by reason; those that it refused for good are"
        " among them.",
        *_DELIVERY,
        sc.REASON,
    ),
    counter(
        "otelbridge.delivery.dead_lettered",
        "{item}",
        "Rejected items that are kept as dead letters.",
        *_DELIVERY,
        sc.REASON,
    ),
    counter(
        "otelbridge.delivery.resent",
        "{item}",
        "Items of dead letters that are told once more.",
        *_DELIVERY,
    ),
    counter(
        "otelbridge.delivery.dropped",
        "{item}",
        "Items of dead letters that were dropped, because somebody asked for it or for space.",
        *_DELIVERY,
        sc.REASON,
    ),
    observed(
        "otelbridge.delivery.dead_letters",
        "{item}",
        "Items that are kept as dead letters now.",
        *_DELIVERY,
    ),
    counter(
        "otelbridge.delivery.retries",
        "{request}",
        "Requests that will be sent again.",
        *_DELIVERY,
        sc.REASON,
    ),
    observed(
        GATEWAY_SESSIONS,
        "{session}",
        "Sessions of a gateway; 0 for one that is not connected.",
        sc.GATEWAY,
        sc.GATEWAY_API,
        sc.GATEWAY_BUILD,
    ),
    counter(
        GATEWAY_ERRORS,
        "{error}",
        "What gateways did against the protocol, or beyond a limit, in their sessions.",
        sc.GATEWAY,
        sc.ERROR_TYPE,
    ),
    observed(
        "otelbridge.store.age",
        "s",
        "How long the store file has been wrong, so that its last good state is answered;"
        " 0 while it is right.",
    ),
    observed("otelbridge.delivery.lag", "s", "Age of the oldest item not yet taken.", *_DELIVERY),
    counter(
        CONTENT_REDACTED,
        "{secret}",
        "Secrets that were taken out before anything was told.",
        sc.RULE,
    ),
    counter(
        CONTENT_TRUNCATED,
        "{text}",
        "Prompts, arguments and thoughts that were cut to what may be told.",
        sc.RECORD_KIND,
    ),
    counter(
        SERIES_OVERFLOW,
        "{value}",
        "Values told under _OTHER because their instrument has too many series.",
        sc.INSTRUMENT,
    ),
    counter(
        LABEL_OVERFLOW,
        "{value}",
        "Values told as _OTHER because their label has too many.",
        sc.LABEL,
    ),
    histogram(
        "rpc.server.call.duration",
        "s",
        "How long a call of the bridge took.",
        sc.RPC_SYSTEM,
        sc.RPC_METHOD,
        sc.RPC_STATUS,
        sc.ERROR_TYPE,
        bounds=CALL_BOUNDS,
    ),
)

#: Every instrument, by name.
INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType(
    {instrument.name: instrument for instrument in (*_GENAI, *_RECORDS, *_BUDGETS, *_BRIDGE)}
)


def instruments_of(profile: sc.Profile) -> Mapping[str, Instrument]:
    """Return what a destination of this profile is sent: its own metrics and the common ones."""
    others = frozenset(instrument.name for instrument in _GENAI) - profile.metrics
    return {name: each for name, each in INSTRUMENTS.items() if name not in others}
