"""The series of an agent: its model's keys in the ledger, made once and looked up after that.

Most of what is booked is counted to series that were counted to before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from otelbridge.domain.usage import Usage
from otelbridge.telemetry import instruments as ins
from otelbridge.telemetry import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelbridge.domain.ledger import SeriesKey
    from otelbridge.telemetry.instrument import Instrument

#: The labels provider, model and client.
Agent: TypeAlias = tuple[str, str, str]

#: Which field of a `Usage` each part is.
PLACES: Mapping[sc.Part, int] = {
    sc.Part.INPUT: Usage._fields.index("input_tokens"),
    sc.Part.OUTPUT: Usage._fields.index("output_tokens"),
    sc.Part.CACHE_READ: Usage._fields.index("cache_read"),
    sc.Part.CACHE_WRITE: Usage._fields.index("cache_write"),
    sc.Part.REASONING: Usage._fields.index("reasoning"),
}
#: Stands for no field of a `Usage`, but for the duration.
DURATION = -1
_UNKNOWN = sc.Modality.UNKNOWN.value
_COMPONENTS = tuple(each.value for each in sc.Component)


class ProfileInstruments(NamedTuple):
    """The instruments of the profiles that are told.

    Attributes:
        counters: Those that add up a part of token usage.
        histograms: Those that sample a part of an interception's token usage.
        durations: Those that sample an interception's duration.
    """

    counters: tuple[tuple[sc.Part, Instrument], ...]
    histograms: tuple[tuple[sc.Part, Instrument], ...]
    durations: tuple[Instrument, ...]

    @classmethod
    def of(cls, profiles: Iterable[sc.Profile]) -> ProfileInstruments:
        """Return the instruments of profiles, each once."""
        told = tuple(profiles)
        names = dict.fromkeys(name for each in told for name in each.durations)
        return cls(
            _instruments(pair for each in told for pair in each.counters),
            _instruments(pair for each in told for pair in each.histograms),
            tuple(ins.INSTRUMENTS[name] for name in names),
        )


class AgentSeries:
    """Keys of the series that an agent and a user count to.

    Args:
        told: Instruments of token usage and durations.
        agent: The labels provider, model and client, as admitted.
        user: The label of the user; empty without one.

    Attributes:
        prompts: Its prompts.
        thoughts: Its thoughts.
        threads: Its threads.
        unpriced: Its token records without a price.
        inconsistent: Its token records that break an invariant.
        costs: Its cost, by component.
        counters: Its tokens of no known modality, by the field of a `Usage`.
    """

    __slots__ = (
        "_agent",
        "_samples",
        "_told",
        "_user",
        "costs",
        "counters",
        "inconsistent",
        "prompts",
        "thoughts",
        "threads",
        "unpriced",
    )

    def __init__(self, told: ProfileInstruments, agent: Agent, user: str) -> None:
        self._told, self._agent, self._user = told, agent, user
        self._samples: dict[str, tuple[tuple[Instrument, SeriesKey, int], ...]] = {}
        self.prompts: SeriesKey = (ins.PROMPTS, agent)
        self.thoughts: SeriesKey = (ins.THOUGHTS, agent)
        self.threads: SeriesKey = (ins.THREADS, agent)
        self.unpriced: SeriesKey = (ins.UNPRICED, agent)
        self.inconsistent: SeriesKey = (ins.INCONSISTENT, agent)
        self.costs: tuple[tuple[str, SeriesKey], ...] = tuple(
            (component, (ins.COST, (*agent, component, user))) for component in _COMPONENTS
        )
        self.counters = tuple(
            (PLACES[part], self.counter(each, _UNKNOWN)) for part, each in told.counters
        )

    def interceptions(self, outcome: str) -> SeriesKey:
        """Return the key of its interceptions with an outcome."""
        return (ins.INTERCEPTIONS, (*self._agent, outcome, self._user))

    def counter(self, instrument: Instrument, modality: str) -> SeriesKey:
        """Return the key of a counter of its tokens."""
        return _key(instrument, {**self._labels(), sc.TOKEN_MODALITY: modality})

    def samples(self, error: str) -> tuple[tuple[Instrument, SeriesKey, int], ...]:
        """Return its histograms for an ``error.type``: of tokens, then of durations.

        Returns:
            Each instrument, its key, and the field of a `Usage` that it samples, or
            `DURATION`.
        """
        found = self._samples.get(error)
        if found is None:
            found = self._samples[error] = tuple(self._histograms(error))
        return found

    def _histograms(self, error: str) -> Iterable[tuple[Instrument, SeriesKey, int]]:
        labels = {**self._labels(), sc.ERROR_TYPE: error}
        for part, each in self._told.histograms:
            yield each, _key(each, {**labels, sc.TOKEN_TYPE: part.value}), PLACES[part]
        for each in self._told.durations:
            yield each, _key(each, labels), DURATION

    def _labels(self) -> dict[str, str]:
        provider, model, _ = self._agent
        return {
            sc.OPERATION_NAME: sc.CHAT,
            sc.PROVIDER_NAME: provider,
            sc.REQUEST_MODEL: model,
            sc.USER_ID: self._user,
        }


def _key(instrument: Instrument, labels: Mapping[str, str]) -> SeriesKey:
    return instrument.name, tuple([labels.get(key, "") for key in instrument.attributes])


def _instruments(
    pairs: Iterable[tuple[sc.Part, str]],
) -> tuple[tuple[sc.Part, Instrument], ...]:
    return tuple((part, ins.INSTRUMENTS[name]) for part, name in dict.fromkeys(pairs))
