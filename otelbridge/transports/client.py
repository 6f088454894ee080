"""The client side: recorded calls sent to a bridge, as a gateway would send them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from otelbridge.servicers.methods import descriptors, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otelbridge.transports.capture import CapturedCall

# Interceptions that are sent at the same time at full speed.
_MAX_LANES = 64
_STREAMS = frozenset(
    path_of(method).removeprefix("/proto.") for method in descriptors() if method.server_streaming
)
# A bridge may refuse these for what its store says of the caller. Whatever
# else fails, and any record that is refused, is not as it should be.
_ANSWERS = frozenset(
    {
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "RESOURCE_EXHAUSTED",
        "ERROR",  # DRPC's, which has texts only
    }
)


class Caller(Protocol):
    """Makes calls over some transport."""

    async def call(self, rpc: str, raw: bytes, *, is_stream: bool = False) -> tuple[str, str]:
        """Make a call; return the name of its status, and the error's text.

        Args:
            rpc: ``Service/Method``.
            raw: The request.
            is_stream: Whether the answer is a stream: it is left after its first message.
        """


@dataclass(slots=True)
class Results:
    """How calls were answered.

    Attributes:
        codes: Number of calls by ``Service/Method`` and name of their status.
        texts: The first error's text by the same.
    """

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return the number of calls."""
        return self.codes.total()

    @property
    def unexpected(self) -> int:
        """Return the number of calls that a bridge in order would not answer so."""
        return sum(
            count
            for (rpc, code), count in self.codes.items()
            if code != "OK" and (rpc.startswith("Recorder/") or code not in _ANSWERS)
        )

    def add(self, rpc: str, code: str, text: str = "") -> None:
        """Note an answer."""
        self.codes[rpc, code] += 1
        if text:
            self.texts.setdefault((rpc, code), text)


async def send_calls(
    caller: Caller,
    calls: Sequence[CapturedCall],
    *,
    speed: float | None,
    on_answer: Callable[[], None] = lambda: None,
) -> Results:
    """Send recorded calls in their causal order.

    An interception's start is acknowledged before what came after it is sent,
    as in a gateway.

    Args:
        caller: Makes the calls.
        calls: Sorted by time.
        speed: How many times as fast as recorded; None for as fast as it
            goes: the calls of one interception then come one after the other.
        on_answer: Called for each call that was answered.
    """
    sender = _Sender(caller, on_answer)
    if speed is None:
        await _send_lanes(sender, calls)
    else:
        await _send_paced(sender, calls, speed)
    return sender.results


async def _send_lanes(sender: _Sender, calls: Iterable[CapturedCall]) -> None:
    lanes: dict[str, list[CapturedCall]] = {}
    for call in calls:
        lanes.setdefault(call.interception, []).append(call)
    free = asyncio.Semaphore(_MAX_LANES)

    async def send(lane: Iterable[CapturedCall]) -> None:
        async with free:
            for call in lane:
                await sender.send(call)

    async with asyncio.TaskGroup() as group:
        for lane in lanes.values():
            group.create_task(send(lane))


async def _send_paced(sender: _Sender, calls: Sequence[CapturedCall], speed: float) -> None:
    clock = asyncio.get_running_loop().time
    began, first_s = clock(), calls[0].at_s if calls else 0.0
    starts: dict[str, asyncio.Task[None]] = {}

    async def send_after(start: asyncio.Task[None], call: CapturedCall) -> None:
        await asyncio.wait({start})
        await sender.send(call)

    async with asyncio.TaskGroup() as group:
        for call in calls:
            await asyncio.sleep(began + (call.at_s - first_s) / speed - clock())
            start = starts.get(call.interception)
            task = group.create_task(
                sender.send(call) if start is None else send_after(start, call)
            )
            if call.is_start:
                starts.setdefault(call.interception, task)


class _Sender:
    """Sends calls and keeps their results."""

    def __init__(self, caller: Caller, on_answer: Callable[[], None]) -> None:
        self._caller = caller
        self._on_answer = on_answer
        self.results = Results()

    async def send(self, call: CapturedCall) -> None:
        """Send one call and note its answer; a stream is left after its first message."""
        raw = call.request.SerializeToString()
        code, text = await self._caller.call(call.rpc, raw, is_stream=call.rpc in _STREAMS)
        self.results.add(call.rpc, code, text)
        self._on_answer()
