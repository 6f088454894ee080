"""Where metrics come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otelbridge.delivery.series import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otelbridge.delivery.series import Observation
    from otelbridge.domain.ledger import Series, SeriesKey


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSources:
    """Where metrics are read from, and where progress with them is kept.

    Attributes:
        snapshot: Reads the ledger.
        observe: Reads what is not in the ledger.
        load_base: Returns what `save_base` was given last for a destination;
            empty if nothing was.
        save_base: Keeps a destination's state, durable with the next commit.
    """

    snapshot: Callable[[], Mapping[SeriesKey, Series]]
    observe: Callable[[], Iterable[Observation]]
    load_base: Callable[[str], str]
    save_base: Callable[[str, str], None]

    def read(self) -> Reading:
        """Read everything."""
        return Reading.of(self.snapshot(), self.observe())
