"""The port through which calls are booked."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """Books what happened to calls."""

    def observe_call(self, method: str, code: str, seconds: float) -> None:
        """Book one call that is over.

        Refused calls are those of code UNAUTHENTICATED, faults of ours those
        of code INTERNAL.

        Args:
            method: ``Service/Method``; only methods of the contract are booked.
            code: The name of its gRPC status.
            seconds: How long it took.
        """
