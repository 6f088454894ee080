"""Booking: what records and finalised interceptions add to the ledger."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache, partial
from typing import TYPE_CHECKING, cast

from otelbridge.domain.ledger import Exemplar, UsageTotals
from otelbridge.domain.records import (
    InterceptionStarted,
    ModelThought,
    PromptUsed,
    TokensUsed,
    ToolUsed,
)
from otelbridge.telemetry import instruments as ins
from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry.agent_series import DURATION, PLACES, AgentSeries, ProfileInstruments
from otelbridge.telemetry.ids import chat_place
from otelbridge.telemetry.servers import server_address, tool_error_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelbridge.config.sections import TraceGrouping
    from otelbridge.domain.ledger import Changes, SeriesKey
    from otelbridge.domain.ports import Cost
    from otelbridge.domain.records import Record
    from otelbridge.domain.usage import Usage
    from otelbridge.telemetry.accounts import Account
    from otelbridge.telemetry.instrument import Instrument
    from otelbridge.telemetry.labels import Labels
    from otelbridge.telemetry.series import SeriesLimit
    from otelbridge.telemetry.summary import Summary
    from otelbridge.telemetry.valuation import Valued

_NS = 1_000_000_000
_NANO = Decimal(1_000_000_000)
# 100,000 USD: ten million tokens of the dearest model cost a tenth of it. Records of counts
# that no request can have would overflow the ledger otherwise.
_MAX_NANOS = 10**14
_TEXT = sc.Modality.TEXT.value
_UNKNOWN = sc.Modality.UNKNOWN.value
# Fields of a usage row.
(
    _INTERCEPTIONS,
    _INPUT,
    _OUTPUT,
    _CACHE_READ,
    _CACHE_WRITE,
    _REASONING,
    _COST,
    _UNPRICED,
    _PROMPTS,
    _TOOL_CALLS,
) = range(len(UsageTotals._fields))
# Input and output are told always, other parts of a `Usage` if they are not zero.
_ALWAYS = frozenset((PLACES[sc.Part.INPUT], PLACES[sc.Part.OUTPUT]))
# Accounts whose series are remembered, and so many different ones.
_REMEMBERED = 8192
_REMEMBERED_SERIES = 1024


class Booker:
    """Adds to the ledger.

    Args:
        profiles: Whose metrics are booked; see
            `otelbridge.telemetry.variants.profiles_of`.
        labels: Admits values as labels.
        series: Admits combinations of them.
        trace_grouping: What a trace is, for the exemplars of samples.
        user_label: Whether the user is a label.
    """

    def __init__(
        self,
        profiles: Iterable[sc.Profile],
        labels: Labels,
        series: SeriesLimit,
        *,
        trace_grouping: TraceGrouping = "interception",
        user_label: bool = False,
    ) -> None:
        self._labels = labels
        self._limit = series
        self._known = series.known
        self._trace_grouping = trace_grouping
        self._user_label = user_label
        self._told = ProfileInstruments.of(profiles)
        self._of_agent = lru_cache(_REMEMBERED_SERIES)(partial(AgentSeries, self._told))
        self._remembered: dict[tuple[bytes, str, str, str], AgentSeries] = {}

    def committed(self, changes: Changes) -> None:
        """Keep the labels and series that a transaction admitted, once it has been committed."""
        self._labels.committed(changes)
        self._limit.committed(changes)

    def record(
        self, record: Record, account: Account, value: Valued | None, changes: Changes
    ) -> None:
        """Book one record.

        Args:
            record: The record; it is booked once.
            account: Whose it is.
            value: Usage and cost of a token record.
            changes: The transaction.
        """
        if isinstance(record, TokensUsed):
            if value is not None:
                self._tokens(record, account, value, changes)
        elif isinstance(record, ToolUsed):
            self._tool(record, changes)
            changes.row(account.usage_key(record.at_ns))[_TOOL_CALLS] += 1
        elif isinstance(record, PromptUsed):
            self._add(self._series(account, changes).prompts, changes)
            changes.row(account.usage_key(record.at_ns))[_PROMPTS] += 1
        elif isinstance(record, ModelThought):
            self._add(self._series(account, changes).thoughts, changes)
        elif isinstance(record, InterceptionStarted):
            self._series(account, changes)  # so that /metrics can name what is active

    def interception(self, summary: Summary, account: Account, changes: Changes) -> None:
        """Book a finalised interception; its records have been booked as they came."""
        interception = summary.interception
        series = self._series(account, changes)
        self._add(series.interceptions(summary.outcome.value), changes)
        if interception.thread.root_id == interception.id:
            self._add(series.threads, changes)
        changes.row(account.usage_key(summary.start_ns))[_INTERCEPTIONS] += 1
        error = summary.error_type
        if error:
            error = self._labels.value(sc.ERROR_TYPE, error, changes)
        self._sample(series.samples(error), summary, changes)

    def _sample(
        self,
        samples: Iterable[tuple[Instrument, SeriesKey, int]],
        summary: Summary,
        changes: Changes,
    ) -> None:
        """Book samples; each leads to the chat span."""
        interception, usage = summary.interception, summary.usage
        has_duration = interception.start is not None and interception.end is not None
        seconds = (summary.end_ns - summary.start_ns) / _NS
        root_id = interception.thread.root_id
        place = chat_place(interception.id, root_id, self._trace_grouping)
        for instrument, key, field in samples:
            if field == DURATION and has_duration:
                value = seconds
            elif field != DURATION and usage is not None:
                value = cast("int", usage[field])
            else:
                continue
            changes.sample_series(
                key if key in self._known else self._limit.admitted(key, changes),
                bounds=instrument.bounds,
                value=value,
                exemplar=Exemplar(value, summary.end_ns, place.trace_id, place.span_id),
            )

    def _tokens(
        self, record: TokensUsed, account: Account, value: Valued, changes: Changes
    ) -> None:
        usage, cost = value
        series = self._series(account, changes)
        self._count_tokens(usage, series, changes)
        row = changes.row(account.usage_key(record.at_ns))
        row[_INPUT] += usage.input_tokens
        row[_OUTPUT] += usage.output_tokens
        row[_CACHE_READ] += usage.cache_read
        row[_CACHE_WRITE] += usage.cache_write
        row[_REASONING] += usage.reasoning
        row[_COST] += self._cost(cost, series, changes)
        row[_UNPRICED] += cost is None
        if usage.inconsistent:
            self._add(series.inconsistent, changes)

    def _count_tokens(self, usage: Usage, series: AgentSeries, changes: Changes) -> None:
        if usage.has_modality:
            for part, instrument in self._told.counters:
                for modality, count in _modalities(usage, part):
                    self._add(series.counter(instrument, modality), changes, count)
            return
        for field, key in series.counters:
            tokens = cast("int", usage[field])
            if tokens or field in _ALWAYS:
                self._add(key, changes, tokens)

    def _cost(self, cost: Cost | None, series: AgentSeries, changes: Changes) -> int:
        """Book each component in whole billionths of a dollar and return their sum.

        Each component of each record is rounded by itself, a half to the even
        neighbour (IEEE 754's roundTiesToEven): sums of what was booked are exact.
        A component of more than 100,000 USD is booked as that.
        """
        if cost is None:
            self._add(series.unpriced, changes)
            return 0
        total = 0
        for component, key in series.costs:
            amount = getattr(cost, component)
            if amount:
                nanos = min(round(amount * _NANO), _MAX_NANOS)
                self._add(key, changes, nanos)
                total += nanos
        return total

    def _add(self, key: SeriesKey, changes: Changes, amount: int = 1) -> None:
        if key not in self._known:
            key = self._limit.admitted(key, changes)
        changes.counts[key] = changes.counts.get(key, 0) + amount

    def _tool(self, tool: ToolUsed, changes: Changes) -> None:
        error = tool_error_type(tool.invocation_error) if tool.invocation_error else ""
        name = self._labels.value(sc.TOOL_NAME, tool.tool, changes)
        injected = "true" if tool.injected else "false"
        self._add((ins.TOOL_CALLS, (name, injected, error)), changes)
        if tool.injected and tool.server_url:
            address = server_address(tool.server_url)
            address = self._labels.value(sc.SERVER_ADDRESS, address, changes)
            self._add((ins.MCP_TOOL_CALLS, (address, error)), changes)

    def _series(self, account: Account, changes: Changes) -> AgentSeries:
        """Return the series that an account counts to."""
        series = self._remembered.get(account.row)
        if series is None:
            names = (
                (sc.PROVIDER_NAME, account.provider),
                (sc.REQUEST_MODEL, account.model),
                (sc.CLIENT, account.client),
                (sc.USER_ID, self._user(account)),
            )
            *agent, user = [self._labels.value(key, text, changes) for key, text in names]
            series = self._of_agent(tuple(agent), user)
            # What overflows is counted each time, and what is admitted only now may yet fail.
            if all(self._labels.has(key, text) for key, text in names):
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[account.row] = series
        return series

    def _user(self, account: Account) -> str:
        return str(account.user_id) if self._user_label and account.user_id is not None else ""


def _modalities(usage: Usage, part: sc.Part) -> Sequence[tuple[str, int]]:
    """Return a part's tokens by modality, of a record that tells audio apart.

    Input and output always, other parts if not zero. Which modality cached and
    reasoning tokens have is known only where none is audio.
    """
    if part is sc.Part.INPUT:
        return _with_audio(usage.input_tokens, usage.audio_input)
    if part is sc.Part.OUTPUT:
        return _with_audio(usage.output_tokens, usage.audio_output)
    if part is sc.Part.REASONING:
        count, audio = usage.reasoning, usage.audio_output
    else:
        is_read = part is sc.Part.CACHE_READ
        count, audio = usage.cache_read if is_read else usage.cache_write, usage.audio_input
    return ((_UNKNOWN if audio else _TEXT, count),) if count else ()


def _with_audio(tokens: int, audio: int) -> Sequence[tuple[str, int]]:
    if not audio:
        return ((_TEXT, tokens),)
    heard = min(audio, tokens)
    return ((sc.Modality.AUDIO.value, heard), (_TEXT, tokens - heard))
