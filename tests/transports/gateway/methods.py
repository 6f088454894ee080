"""Servicers' methods for tests: one that answers, one that is held, one that keeps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.methods import request_classes
from tests.transports.gateway.worlds import WATCH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANSWER = pb.IsBudgetExceededResponse(exceeded=True, spend_limit_micros=7)
UNARY = sorted(request_classes().keys() - {WATCH})


async def answering(_request: Any, _call: Any) -> Any:
    return ANSWER


class Kept(list[bytes]):
    """The messages of an answer; more are always wanted."""

    def __call__(self, message: bytes) -> bool:
        self.append(message)
        return True


class Held:
    """A servicer's method that answers when the test says so."""

    def __init__(self) -> None:
        self.came = 0
        self.cancelled = 0
        self.gate = asyncio.Event()

    async def __call__(self, _request: Any, _call: Any) -> Any:
        self.came += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return ANSWER


class Watched:
    """A stream of messages, as the test says."""

    def __init__(self) -> None:
        self.open = 0
        self.changes: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def __call__(self, _request: Any, _call: Any) -> AsyncIterator[Any]:
        self.open += 1
        try:
            while True:
                yield pb.WatchAIProvidersResponse()
                if (error := await self.changes.get()) is not None:
                    raise error
        finally:
            self.open -= 1
