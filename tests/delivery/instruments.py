"""A few instruments, and a ledger of them."""

from __future__ import annotations

from otelbridge.delivery.series import Observation
from otelbridge.domain.ledger import Distribution, Exemplar, Series, SeriesKey
from otelbridge.telemetry.instrument import Instrument, InstrumentKind

CALLS = Instrument(
    name="test.calls",
    kind=InstrumentKind.COUNTER,
    unit="{call}",
    description="Calls.",
    attributes=("tool.name", "error.type"),
)
COST = Instrument(
    name="test.cost",
    kind=InstrumentKind.COUNTER,
    unit="{USD}",
    description="Cost.",
    scale=1e-9,
)
DURATION = Instrument(
    name="test.duration",
    kind=InstrumentKind.HISTOGRAM,
    unit="s",
    description="How long it took.",
    attributes=("tool.name",),
    bounds=(0.5, 1.0),
)
ACTIVE = Instrument(
    name="test.active",
    kind=InstrumentKind.UP_DOWN_COUNTER,
    unit="{call}",
    description="Calls under way.",
    durable=False,
)
SIZE = Instrument(
    name="test.size",
    kind=InstrumentKind.GAUGE,
    unit="By",
    description="How large it is.",
    durable=False,
)
INSTRUMENTS = {each.name: each for each in (CALLS, COST, DURATION, ACTIVE, SIZE)}

GREP: SeriesKey = ("test.calls", ("grep", ""))
GREP_FAILED: SeriesKey = ("test.calls", ("grep", "timeout"))
SPENT: SeriesKey = ("test.cost", ())
GREP_TOOK: SeriesKey = ("test.duration", ("grep",))

BORN_NS = 1_699_999_990 * 10**9  # ten seconds before the clock of the tests starts
EXEMPLAR = Exemplar(0.75, BORN_NS, bytes(range(16)), bytes(range(8)))
LEDGER: dict[SeriesKey, Series] = {
    GREP: Series(BORN_NS, 5),
    GREP_FAILED: Series(BORN_NS, 2),
    SPENT: Series(BORN_NS, 123_456_789),
    GREP_TOOK: Series(BORN_NS, Distribution((1, 2, 1), 4.25, {1: EXEMPLAR})),
}
OBSERVED = [Observation("test.active", (), 3), Observation("test.size", (), 2.5)]
