"""Stopping: every call that came is answered, and no session is closed under a call."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.transports.gateway import draining
from otelbridge.transports.gateway.draining import Draining
from tests.protocols.drpc.frames import call
from tests.protocols.yamux.wire import GO_AWAY, SYN, Frame, data, update
from tests.transports.gateway.methods import Held, Kept, Watched, answering
from tests.transports.gateway.peers import peer
from tests.transports.gateway.worlds import BUDGET, PROMPT, WATCH, World, eventually, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.transports.gateway.client import GatewayClient

STOPPING = "the bridge is stopping"


def test_it_must_be_quiet_for_a_while_and_less_and_less_as_time_goes_by() -> None:
    found = Draining(100.0, grace_s=10.0)

    assert not found.is_quiet(100.015, heard_at=90.0)
    assert found.is_quiet(100.021, heard_at=90.0)
    assert not found.is_quiet(105.0, heard_at=104.992)
    assert found.is_quiet(105.0, heard_at=104.989)
    assert not found.is_quiet(120.0, heard_at=119.998)
    assert found.is_quiet(120.0, heard_at=119.996)


def test_a_silence_must_be_seen_twice() -> None:
    """What has come while the event loop was busy is read between two looks."""
    found = Draining(0.0, grace_s=10.0)

    assert not found.is_over(1.0, heard_at=0.5)
    assert found.next_look(1.0, heard_at=0.5) == 1.001
    assert found.is_over(1.001, heard_at=0.5)
    assert not found.is_over(1.001, heard_at=0.6)


@pytest.mark.parametrize(("grace_s", "held_from"), [(10.0, 9.75), (0.4, 0.3), (0.0, 0.0)])
def test_answers_are_held_back_in_the_end(grace_s: float, held_from: float) -> None:
    found = Draining(0.0, grace_s=grace_s)

    assert not found.is_holding(held_from - 0.001)
    assert found.is_holding(held_from + 0.001)


@given(
    grace_s=st.floats(0.0, 20.0),
    elapsed_s=st.floats(0.0, 30.0),
    silent_s=st.floats(0.0, 40.0),
)
def test_the_next_look_is_later_and_in_time(
    grace_s: float, elapsed_s: float, silent_s: float
) -> None:
    found = Draining(1000.0, grace_s=grace_s)
    now = 1000.0 + elapsed_s
    heard_at = now - silent_s

    at = found.next_look(now, heard_at=heard_at)

    assert 0.0009 < at - now < 20.0
    assert found.is_holding(now) or at <= 1000.0 + grace_s + 0.01
    if not found.is_quiet(now, heard_at=heard_at):
        assert at - now <= 0.0211


async def _stop(world: World, grace_s: float = 10.0) -> float:
    """Stop the sessions; return how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await world.gateways.stop(grace_s)
    return loop.time() - began


async def test_an_idle_session_is_closed_at_once_with_a_goodbye() -> None:
    async with running() as world, peer(world) as gateway:
        took = await _stop(world)
        closed = await gateway.until_closed()

    assert closed == (1001, "")
    assert gateway.frames == [Frame(GO_AWAY, 0, 0, 0)]
    assert took < 1.0


async def test_a_call_in_flight_is_answered_before_the_goodbye() -> None:
    held = Held()
    async with running({BUDGET: held}) as world, peer(world) as gateway:
        await gateway.call(1, BUDGET)
        await eventually(lambda: held.came == 1)
        stopping = asyncio.create_task(_stop(world))
        await eventually(lambda: world.gateways._draining)  # noqa: SLF001  # nobody else says so
        held.gate.set()
        assert (await gateway.answer(1))[0] == "OK"
        await gateway.until_closed()
        await stopping

    assert gateway.frames[-1] == Frame(GO_AWAY, 0, 0, 0)
    assert not any(frame.kind == GO_AWAY for frame in gateway.frames[:-1])


async def test_a_call_that_has_only_begun_is_waited_for() -> None:

    packets = call(data=b"", rpc=f"/proto.{BUDGET}")
    async with running({BUDGET: answering}) as world, peer(world) as gateway:
        await gateway.send(update(1, flags=SYN), data(1, packets[:10]))
        await gateway.until(lambda: gateway.is_accepted(1))
        stopping = asyncio.create_task(_stop(world))
        await eventually(lambda: world.gateways._draining)  # noqa: SLF001  # as above
        await gateway.send(data(1, packets[10:]))
        assert (await gateway.answer(1))[0] == "OK"
        await stopping

    assert world.books.calls == [(BUDGET, "OK")]


async def test_a_new_call_is_answered_while_an_old_one_holds_the_session_up() -> None:
    held = Held()
    async with running({BUDGET: held}) as world, world.dial() as client:
        slow = asyncio.create_task(client.call(BUDGET, b""))
        await eventually(lambda: held.came == 1)
        stopping = asyncio.create_task(_stop(world))
        for _ in range(10):
            assert await client.call(PROMPT, b"") == ("OK", "")
        held.gate.set()
        await stopping
        assert (await slow)[0] == "OK"


async def test_what_streams_ends_with_a_reason_and_holds_nothing_up() -> None:
    watched, messages = Watched(), Kept()
    async with running({WATCH: watched}) as world, world.dial() as client:
        watching = asyncio.create_task(client.exchange(WATCH, b"", messages))
        await eventually(lambda: bool(messages))

        assert await _stop(world) < 1.0
        assert await watching == ("ERROR", STOPPING)


async def test_when_the_time_is_up_what_was_read_is_answered() -> None:
    held = Held()
    async with running({BUDGET: held}) as world, peer(world) as gateway:
        await gateway.call(1, BUDGET)
        await gateway.send(update(3, flags=SYN))  # begun, and never finished
        await eventually(lambda: held.came == 1)
        asyncio.get_running_loop().call_later(0.3, held.gate.set)

        took = await _stop(world, grace_s=0.2)
        assert (await gateway.answer(1))[0] == "OK"

    assert 0.25 < took < 2.0


async def test_a_call_that_never_ends_does_not_keep_the_bridge_from_stopping() -> None:
    held = Held()
    async with running({BUDGET: held}) as world, world.dial() as client:
        hanging = asyncio.create_task(client.call(BUDGET, b""))
        await eventually(lambda: held.came == 1)

        took = await _stop(world, grace_s=0.1)
        code, _ = await hanging

    assert (code, took < 3.0) == ("UNAVAILABLE", True)


async def test_a_gateway_that_does_not_answer_the_close_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("otelbridge.transports.gateway.connection._CLOSE_S", 0.1)
    async with running() as world, peer(world) as gateway:
        gateway.websocket.transport.pause_reading()

        assert await _stop(world) < 1.0
        gateway.websocket.transport.abort()


class Caller:
    """Calls again and again, as long as there is a session.

    Attributes:
        answered: Calls that were answered.
        failed: The texts of those that were not.
    """

    def __init__(self) -> None:
        self.answered = 0
        self.failed: list[str] = []

    async def run(self, client: GatewayClient, pause: Callable[[], float]) -> None:
        """Call until the session takes no more."""
        while True:
            code, text = await client.call(BUDGET, b"")
            if code == "OK":
                self.answered += 1
            elif text == "the session takes no new streams":
                return  # it was not sent: a stock gateway waits for its next session
            else:
                self.failed.append(f"{code} {text}")
                return
            await asyncio.sleep(pause())


@pytest.mark.parametrize("pause_s", [0.0, 0.03], ids=["no pause", "pauses"])
async def test_under_load_no_call_is_left_unanswered(
    pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both ends share an event loop here: a call is on its way for several of its turns.
    for name, value in {
        "_LONG_S": 0.2,
        "_SHORT_S": 0.2,
        "_HOLD_S": 10.0,
        "_HOLD_PART": 1.0,
    }.items():
        monkeypatch.setattr(draining, name, value)

    async def handler(_request: Any, _call: Any) -> Any:
        await asyncio.sleep(random.random() * 0.02)
        return pb.IsBudgetExceededResponse()

    caller = Caller()
    async with running({BUDGET: handler}) as world, world.dial() as one, world.dial() as other:
        callers = [
            asyncio.create_task(caller.run(client, lambda: random.random() * pause_s))
            for client in (one, other)
            for _ in range(30)
        ]
        await eventually(lambda: caller.answered > 200)

        await _stop(world, grace_s=10.0)
        await asyncio.gather(*callers)

    assert caller.failed == []
    assert caller.answered == world.books.calls.count((BUDGET, "OK"))
