"""The bridge's end of the channel, over a real socket; the core's end is played by the test."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from otelbridge.core.caller import Caller
from otelbridge.core.channel import Channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# More than a socket holds: sent and read in many pieces.
LARGE = bytes(range(256)) * 16_384


class Pair:
    """A caller and its other end.

    Attributes:
        caller: The caller.
        other: The other end; its methods block.
        socket: Its socket.
        lost: Set once the other end has gone.
        losses: How often that was said.
    """

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair()
        self.lost = asyncio.Event()
        self.losses = 0
        self.end = ours
        self.caller = Caller(ours, lost=self._lose)
        self.other = Channel(self.socket)

    def _lose(self) -> None:
        self.losses += 1
        self.lost.set()

    def call(self, message: object) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.caller.call(message, answer.set_result)
        return answer

    async def serve(self, count: int) -> list[Any]:
        """Answer so many requests with themselves; return them."""

        def work() -> list[Any]:
            found = []
            for _ in range(count):
                found.append(self.other.receive())
                self.other.send(found[-1])
            return found

        return await asyncio.to_thread(work)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    yield pair
    pair.caller.close()
    pair.end.close()
    pair.other.close()


async def test_answers_come_in_the_order_of_the_requests(pair: Pair) -> None:
    answers = [pair.call(number) for number in range(300)]

    served = await pair.serve(300)

    assert served == list(range(300))
    assert await asyncio.gather(*answers) == served


@pytest.mark.parametrize("messages", [[LARGE], [b"", LARGE, LARGE, b"x"], [LARGE] * 5])
async def test_what_no_socket_holds_goes_and_comes_in_pieces(
    pair: Pair, messages: list[bytes]
) -> None:
    answers = [pair.call(each) for each in messages]

    served = await pair.serve(len(messages))

    assert served == messages
    assert await asyncio.gather(*answers) == messages


async def test_a_call_does_not_wait_for_the_other_end_to_read(pair: Pair) -> None:
    async with asyncio.timeout(5):  # nobody reads
        answers = [pair.call(LARGE) for _ in range(3)]
        await asyncio.sleep(0)
        served = await pair.serve(3)  # now somebody does

    assert served == await asyncio.gather(*answers)


async def test_what_was_answered_before_the_other_end_went_is_heard(pair: Pair) -> None:
    first, second = pair.call("first"), pair.call("second")
    await pair.serve(1)
    pair.other.close()

    async with asyncio.timeout(5):
        await pair.lost.wait()

    assert (await first, second.done(), pair.losses) == ("first", False, 1)


async def test_an_answer_that_breaks_off_is_none(pair: Pair) -> None:
    answer = pair.call("x")
    await asyncio.to_thread(pair.other.receive)
    pair.socket.sendall(b"\0\0\0\0\0\0\0\x09half")
    pair.other.close()

    async with asyncio.timeout(5):
        await pair.lost.wait()

    assert not answer.done()


async def test_nothing_is_sent_to_one_that_has_gone_and_it_is_said_once(pair: Pair) -> None:
    pair.other.close()
    before = pair.call(LARGE)

    async with asyncio.timeout(5):
        await pair.lost.wait()
    after = pair.call("x")
    await asyncio.sleep(0)

    assert (before.done(), after.done(), pair.losses) == (False, False, 1)


async def test_one_that_was_closed_hears_nothing_and_says_no_loss(pair: Pair) -> None:
    later = Pair()
    pair.caller.close()
    pair.other.close()
    later.other.close()
    async with asyncio.timeout(5):
        await later.lost.wait()
    later.end.close()

    assert pair.losses == 0
    assert not asyncio.get_running_loop().remove_reader(pair.end)
