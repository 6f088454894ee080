"""Pings over a real WebSocket, on a clock that the test drives: a minute takes no time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.faults import fault
from tests.protocols.yamux.wire import ACK, GO_AWAY, PING, SYN, Frame, ping
from tests.transports.gateway.peers import Peer, peer
from tests.transports.gateway.worlds import BUDGET, running

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Driven(asyncio.SelectorEventLoop):
    """An event loop whose clock can be set forward; whatever is due then happens."""

    ahead_s = 0.0

    def time(self) -> float:
        """Return the time, in seconds."""
        return super().time() + self.ahead_s


def drive(test: Coroutine[object, object, None]) -> None:
    """Run a test on a clock that it drives."""
    with asyncio.Runner(loop_factory=Driven) as runner:
        runner.run(test)


async def advance(seconds: float) -> None:
    """Set the clock forward, and let happen what is due."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Driven)
    loop.ahead_s += seconds
    for _ in range(3):
        await asyncio.sleep(0)


def pings(gateway: Peer) -> list[Frame]:
    """Return the pings that a gateway was sent."""
    return [frame for frame in gateway.frames if frame.kind == PING and frame.flags == SYN]


async def until_pinged(gateway: Peer, times: int) -> Frame:
    """Return the newest ping once there are so many."""
    await gateway.until(lambda: len(pings(gateway)) >= times)
    assert len(pings(gateway)) == times
    return pings(gateway)[-1]


async def until_read(gateway: Peer) -> None:
    """Return when the bridge has read all that was sent: a pong is no sign of life to yamux."""
    await (await gateway.websocket.ping())


def test_an_idle_session_lives_on_a_ping_each_half_minute_that_is_answered() -> None:
    async def idle() -> None:
        async with running() as world, peer(world) as gateway:
            [before] = world.gateways.connected()
            for number in range(1, 5):
                await advance(29)
                await until_read(gateway)
                assert len(pings(gateway)) == number - 1
                await advance(1)
                asked = await until_pinged(gateway, number)
                await gateway.send(ping(asked.value, flags=ACK))
                await until_read(gateway)
            await gateway.call(1, BUDGET)
            assert (await gateway.answer(1))[0] == "OK"
            assert world.gateways.connected()[0].since_ns == before.since_ns
            assert world.errors() == {}

    drive(idle())


@fault(32)
def test_who_says_nothing_for_ten_seconds_after_a_ping_is_given_up() -> None:
    async def half_open() -> None:
        async with running() as world, peer(world) as silent, peer(world) as living:
            await advance(30)
            await until_pinged(silent, 1)
            asked = await until_pinged(living, 1)
            await living.send(ping(asked.value, flags=ACK))
            await until_read(living)
            await until_read(silent)
            await advance(9)
            assert len(world.gateways.connected()) == 2
            await advance(1)
            await silent.until_closed()
            assert len(world.gateways.connected()) == 1
            assert GO_AWAY not in {frame.kind for frame in living.frames}
        assert world.errors() == {"timeout": 1}

    drive(half_open())
