"""Calls, booked as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.telemetry.instruments import CALL_BOUNDS

if TYPE_CHECKING:
    from otelbridge.domain.ledger import Changes

_DURATION = "rpc.server.call.duration"


class CallMeter:
    """Books what happened to calls in the ledger.

    A call costs one append here; the histogram is made of many at once.

    Args:
        system: Which RPC system the calls use: ``rpc.system.name``.
    """

    def __init__(self, system: str = "grpc") -> None:
        self._system = system
        self._seconds: dict[tuple[str, str], list[float]] = {}

    def observe_call(self, method: str, code: str, seconds: float) -> None:
        """Book one answered call."""
        taken = self._seconds.get((method, code))
        if taken is None:
            taken = self._seconds[method, code] = []
        taken.append(seconds)

    def book(self, changes: Changes) -> None:
        """Hand over what was observed since the last time."""
        for (method, code), taken in self._seconds.items():
            error = "" if code == "OK" else code
            values = (self._system, f"proto.{method}", code, error)
            for seconds in taken:
                changes.sample(_DURATION, *values, bounds=CALL_BOUNDS, value=seconds)
            taken.clear()
