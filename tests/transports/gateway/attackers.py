"""Slow, greedy and broken peers of a bridge, in a process of their own: ``URL ATTACK…``.

They go on until standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode

from otelbridge.transports.gateway.endpoint import PATH
from tests.protocols.drpc.frames import call
from tests.protocols.yamux.wire import SYN, data, ping, update
from tests.transports.gateway.peers import peer
from tests.transports.gateway.worlds import PROMPT
from tests.transports.raw import raw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Attack = Callable[["Victim"], Awaitable[None]]

PROVIDERS = "ProviderConfigurator/GetAIProviders"


class Victim(NamedTuple):
    """The bridge."""

    port: int

    @property
    def url(self) -> str:
        """Where gateways connect to."""
        return f"ws://127.0.0.1:{self.port}"


async def drips(victim: Victim) -> None:
    """Send a frame byte by byte."""
    sent = Frame(Opcode.BINARY, data(1, bytes(60_000), flags=SYN)).serialize(mask=True)
    async with peer(victim) as slow:
        for byte in sent:
            if slow.websocket.transport.is_closing():
                return
            slow.websocket.transport.write(bytes((byte,)))
            await asyncio.sleep(0.001)


async def opens_streams(victim: Victim) -> None:
    """Open more streams than are allowed, and begin a request on each."""
    begun = call(data=bytes(3000), rpc=f"/proto.{PROMPT}")[:2000]
    async with peer(victim) as greedy:
        for stream_id in range(1, 20_000, 2):
            await greedy.send(update(stream_id, flags=SYN) + data(stream_id, begun))


async def floods(victim: Victim) -> None:
    """Ask for answers as fast as possible."""
    async with peer(victim) as flooding:
        while True:
            await flooding.send(b"".join(ping(token) for token in range(1000)))


async def never_reads(victim: Victim) -> None:
    """Ask for large answers and read none."""
    async with peer(victim) as deaf:
        deaf.websocket.transport.pause_reading()
        for stream_id in range(1, 2000, 2):
            await deaf.call(stream_id, PROVIDERS)
        await asyncio.Event().wait()


async def breaks_the_rules(victim: Victim) -> None:
    """Connect, send garbage, and connect again."""
    while True:
        async with peer(victim) as broken:
            await broken.send(b"\x01" * 5000)
            await broken.until_closed()


async def guesses(victim: Victim) -> None:
    """Try keys."""
    for number in range(10_000):
        async with peer(victim, f"{number:043}"):
            pass


async def knocks(victim: Victim) -> None:
    """Open connections and say nothing, or half a request."""
    async with AsyncExitStack() as stack:
        for number in range(400):
            client = await stack.enter_async_context(raw(victim.port))
            if number % 2:
                await client.send(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n".encode())
        await asyncio.Event().wait()


async def _again_and_again(attack: Attack, victim: Victim) -> None:
    """Attack, and begin anew when the bridge has put an end to it."""
    while True:
        with contextlib.suppress(WebSocketException, OSError, TimeoutError):
            await attack(victim)
        await asyncio.sleep(0.01)


ATTACKS: dict[str, Attack] = {
    each.__name__: each
    for each in (drips, opens_streams, floods, never_reads, breaks_the_rules, guesses, knocks)
}


async def main(port: str, *names: str) -> None:
    """Attack until standard input ends."""
    attacks = [_again_and_again(ATTACKS[name], Victim(int(port))) for name in names]
    attacking = asyncio.gather(*attacks)
    print("attacking", flush=True)  # noqa: T201  # for who has started us
    await asyncio.to_thread(sys.stdin.read)
    os._exit(attacking.done())  # an attack that has ended by itself was none


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
