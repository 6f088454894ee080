"""Calls, booked as metrics."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from otelbridge.telemetry.instruments import CALL_BOUNDS

if TYPE_CHECKING:
    from otelbridge.recording import GroupCommit

_DURATION = "rpc.server.call.duration"


class CallMeter:
    """Books what happened to calls in the ledger."""

    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits

    def observe_call(self, method: str, code: str, seconds: float) -> None:
        """Book one answered call."""
        values = _values(method, code)
        self._commits.sample(_DURATION, *values, bounds=CALL_BOUNDS, value=seconds)


@lru_cache(maxsize=512)
def _values(method: str, code: str) -> tuple[str, str, str, str]:
    return ("grpc", f"proto.{method}", code, "" if code == "OK" else code)
