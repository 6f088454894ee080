"""Booking: what records and finalised interceptions add to the ledger."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from otelbridge.domain.ledger import Exemplar, UsageTotals
from otelbridge.domain.records import ModelThought, PromptUsed, TokensUsed, ToolUsed
from otelbridge.telemetry import instruments as ins
from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry.ids import chat_place
from otelbridge.telemetry.servers import server_address, tool_error_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
_INTERCEPTION = UsageTotals(interceptions=1)
_PROMPT = UsageTotals(prompts=1)
_TOOL_CALL = UsageTotals(tool_calls=1)
_TEXT = sc.Modality.TEXT.value
_UNKNOWN = sc.Modality.UNKNOWN.value
_COMPONENTS = tuple(each.value for each in sc.Component)


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
        self._series = series
        self._known = series.known
        self._trace_grouping = trace_grouping
        self._user_label = user_label
        told = tuple(profiles)
        self._counters = _instruments(pair for each in told for pair in each.counters)
        self._histograms = _instruments(pair for each in told for pair in each.histograms)
        names = dict.fromkeys(name for each in told for name in each.durations)
        self._durations = tuple(ins.INSTRUMENTS[name] for name in names)

    def committed(self, changes: Changes) -> None:
        """Keep the labels and series that a transaction admitted, once it has been committed."""
        self._labels.committed(changes)
        self._series.committed(changes)

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
        elif isinstance(record, PromptUsed):
            self._count(changes, ins.PROMPTS, *self._agent(account, changes))
            changes.use(account.usage_key(record.at_ns), _PROMPT)
        elif isinstance(record, ToolUsed):
            self._tool(record, changes)
            changes.use(account.usage_key(record.at_ns), _TOOL_CALL)
        elif isinstance(record, ModelThought):
            self._count(changes, ins.THOUGHTS, *self._agent(account, changes))
        else:
            self._agent(account, changes)  # so that /metrics can name what is active

    def interception(self, summary: Summary, account: Account, changes: Changes) -> None:
        """Book a finalised interception; its records have been booked as they came."""
        interception = summary.interception
        agent = self._agent(account, changes)
        user = self._user(account, changes)
        self._count(changes, ins.INTERCEPTIONS, *agent, summary.outcome.value, user)
        if interception.thread.root_id == interception.id:
            self._count(changes, ins.THREADS, *agent)
        changes.use(account.usage_key(summary.start_ns), _INTERCEPTION)
        error = ""
        if summary.error_type:
            error = self._labels.value(sc.ERROR_TYPE, summary.error_type, changes)
        samples: list[tuple[Instrument, str, float]] = []
        if summary.usage is not None:
            samples += self._token_samples(summary.usage)
        if interception.start is not None and interception.end is not None:
            seconds = (summary.end_ns - summary.start_ns) / _NS
            samples += [(each, "", seconds) for each in self._durations]
        self._sample(samples, summary, (agent, error), changes)

    def _token_samples(self, usage: Usage) -> Iterator[tuple[Instrument, str, float]]:
        for part, instrument in self._histograms:
            count = usage.input_tokens if part is sc.Part.INPUT else usage.output_tokens
            yield instrument, part.value, count

    def _sample(
        self,
        samples: Iterable[tuple[Instrument, str, float]],
        summary: Summary,
        of: tuple[tuple[str, str, str], str],
        changes: Changes,
    ) -> None:
        """Book samples of an agent and error type; each leads to the chat span."""
        agent, error = of
        interception = summary.interception
        root_id = interception.thread.root_id
        place = chat_place(interception.id, root_id, self._trace_grouping)
        for instrument, part, value in samples:
            exemplar = Exemplar(value, summary.end_ns, place.trace_id, place.span_id)
            key = _sample_key(instrument.name, agent, error, part)
            if key not in self._known:
                key = self._series.admitted(key, changes)
            changes.sample_series(
                key,
                bounds=instrument.bounds,
                value=value,
                exemplar=exemplar,
            )

    def _tokens(
        self, record: TokensUsed, account: Account, value: Valued, changes: Changes
    ) -> None:
        usage = value.usage
        agent = self._agent(account, changes)
        user = self._user(account, changes)
        if self._counters:
            self._count_tokens(usage, agent, user, changes)
        nanos = self._cost(value.cost, agent, user, changes)
        if usage.inconsistent:
            self._count(changes, ins.INCONSISTENT, *agent)
        totals = UsageTotals(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read=usage.cache_read,
            cache_write=usage.cache_write,
            reasoning=usage.reasoning,
            cost_nanos=nanos,
            unpriced=int(value.cost is None),
        )
        changes.use(account.usage_key(record.at_ns), totals)

    def _count_tokens(
        self, usage: Usage, agent: tuple[str, str, str], user: str, changes: Changes
    ) -> None:
        for part, instrument in self._counters:
            for modality, count in _modalities(usage, part):
                key = _counter_key(instrument.name, agent, modality, user)
                if key not in self._known:
                    key = self._series.admitted(key, changes)
                changes.count_series(key, count)

    def _cost(
        self, cost: Cost | None, agent: tuple[str, str, str], user: str, changes: Changes
    ) -> int:
        """Book each component in whole billionths of a dollar and return their sum.

        Each component of each record is rounded by itself, a half to the even
        neighbour (IEEE 754's roundTiesToEven): sums of what was booked are exact.
        A component of more than 100,000 USD is booked as that.
        """
        if cost is None:
            self._count(changes, ins.UNPRICED, *agent)
            return 0
        total = 0
        for component in _COMPONENTS:
            amount = getattr(cost, component)
            if amount:
                nanos = min(round(amount * _NANO), _MAX_NANOS)
                self._count(changes, ins.COST, *agent, component, user, amount=nanos)
                total += nanos
        return total

    def _count(self, changes: Changes, instrument: str, *values: str, amount: int = 1) -> None:
        key = (instrument, values)
        if key not in self._known:
            key = self._series.admitted(key, changes)
        changes.count_series(key, amount)

    def _tool(self, tool: ToolUsed, changes: Changes) -> None:
        error = tool_error_type(tool.invocation_error) if tool.invocation_error else ""
        name = self._labels.value(sc.TOOL_NAME, tool.tool, changes)
        injected = "true" if tool.injected else "false"
        self._count(changes, ins.TOOL_CALLS, name, injected, error)
        if tool.injected and tool.server_url:
            address = server_address(tool.server_url)
            address = self._labels.value(sc.SERVER_ADDRESS, address, changes)
            self._count(changes, ins.MCP_TOOL_CALLS, address, error)

    def _agent(self, account: Account, changes: Changes) -> tuple[str, str, str]:
        """Return the labels provider, model and client."""
        value = self._labels.value
        return (
            value(sc.PROVIDER_NAME, account.provider, changes),
            value(sc.REQUEST_MODEL, account.model, changes),
            value(sc.CLIENT, account.client, changes),
        )

    def _user(self, account: Account, changes: Changes) -> str:
        if not self._user_label or account.user_id is None:
            return ""
        return self._labels.value(sc.USER_ID, str(account.user_id), changes)


def _instruments(
    pairs: Iterable[tuple[sc.Part, str]],
) -> tuple[tuple[sc.Part, Instrument], ...]:
    return tuple((part, ins.INSTRUMENTS[name]) for part, name in dict.fromkeys(pairs))


def _model_labels(agent: tuple[str, str, str]) -> dict[str, str]:
    return {sc.OPERATION_NAME: sc.CHAT, sc.PROVIDER_NAME: agent[0], sc.REQUEST_MODEL: agent[1]}


# What keys are made of are admitted labels: there are few of them.
@lru_cache(maxsize=8192)
def _counter_key(
    instrument: str, agent: tuple[str, str, str], modality: str, user: str
) -> SeriesKey:
    labels = {**_model_labels(agent), sc.TOKEN_MODALITY: modality, sc.USER_ID: user}
    return (instrument, _values(instrument, labels))


@lru_cache(maxsize=8192)
def _sample_key(instrument: str, agent: tuple[str, str, str], error: str, part: str) -> SeriesKey:
    labels = {**_model_labels(agent), sc.ERROR_TYPE: error, sc.TOKEN_TYPE: part}
    return (instrument, _values(instrument, labels))


def _values(instrument: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple([labels.get(key, "") for key in ins.INSTRUMENTS[instrument].attributes])


def _modalities(usage: Usage, part: sc.Part) -> Sequence[tuple[str, int]]:
    """Return a part's tokens by modality; input and output always, other parts if not zero.

    Which modality cached and reasoning tokens have is known only where the
    record tells that none is audio.
    """
    rest = _TEXT if usage.has_modality else _UNKNOWN
    if part is sc.Part.INPUT:
        return _with_audio(usage.input_tokens, usage.audio_input, rest)
    if part is sc.Part.OUTPUT:
        return _with_audio(usage.output_tokens, usage.audio_output, rest)
    if part is sc.Part.REASONING:
        count, audio = usage.reasoning, usage.audio_output
    else:
        is_read = part is sc.Part.CACHE_READ
        count, audio = usage.cache_read if is_read else usage.cache_write, usage.audio_input
    return ((rest if not audio else _UNKNOWN, count),) if count else ()


def _with_audio(tokens: int, audio: int, rest: str) -> Sequence[tuple[str, int]]:
    if not audio:
        return ((rest, tokens),)
    heard = min(audio, tokens)
    return ((sc.Modality.AUDIO.value, heard), (rest, tokens - heard))
