"""What an instrument is: its name, kind, unit, description and attributes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class InstrumentKind(StrEnum):
    """How an instrument's values behave."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "updowncounter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One instrument.

    Attributes:
        name: Its OpenTelemetry name.
        kind: How its values behave.
        unit: UCUM unit; an annotation as ``{token}`` except ``s`` and ``By``.
        description: One sentence.
        attributes: Attribute keys in the order of a series' values
            (`otelbridge.domain.ledger.SeriesKey`). A value may be empty: absent.
        bounds: A histogram's upper bounds, inclusive.
        scale: What a counter's integer is multiplied by when told: cost is
            booked in 1e-9 USD.
        durable: Whether it lives in the ledger; if not, its value is observed
            when it is collected.
    """

    name: str
    kind: InstrumentKind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    scale: float = 1
    durable: bool = True


def counter(name: str, unit: str, description: str, *attributes: str) -> Instrument:
    """Return a counter of the ledger."""
    return Instrument(
        name=name,
        kind=InstrumentKind.COUNTER,
        unit=unit,
        description=description,
        attributes=attributes,
    )


def histogram(
    name: str, unit: str, description: str, *attributes: str, bounds: tuple[float, ...]
) -> Instrument:
    """Return a histogram of the ledger, with its upper bounds."""
    return Instrument(
        name=name,
        kind=InstrumentKind.HISTOGRAM,
        unit=unit,
        description=description,
        attributes=attributes,
        bounds=bounds,
    )


def observed(
    name: str,
    unit: str,
    description: str,
    *attributes: str,
    kind: InstrumentKind = InstrumentKind.GAUGE,
) -> Instrument:
    """Return an instrument whose value is observed when it is collected."""
    return Instrument(
        name=name,
        kind=kind,
        unit=unit,
        description=description,
        attributes=attributes,
        durable=False,
    )
