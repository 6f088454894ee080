"""``otelbridge demo``: a bridge, a recorded session through it, and what it told."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import UUID

import click
import uvloop
from rich.console import Console

from otelbridge.commands.demo_world import make_world, session
from otelbridge.commands.progress import progress
from otelbridge.commands.serve import stop_signals
from otelbridge.commands.story import conversations, is_chat
from otelbridge.commands.tree import conversation_tree, totals
from otelbridge.config.sections import LogConfig
from otelbridge.errors import OtelBridgeError
from otelbridge.logs import set_up_logging
from otelbridge.server import Server
from otelbridge.transports.client import send_calls
from otelbridge.transports.otlp_receiver import OtlpReceiver
from otelbridge.transports.target import Target, connected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from otelbridge.transports.capture import CapturedCall
    from otelbridge.transports.client import Results

# The longer of the captures takes 40 s.
_SPEED = 20.0
_TELLING_LIMIT_S = 20.0
# A shell's convention: a process that a signal ended has 128 and its number.
_TERMINATED = 128 + signal.SIGTERM


@click.command()
@click.option("--keep", is_flag=True, help="Leave the bridge running until Ctrl-C.")
def demo(*, keep: bool) -> None:
    """Show what the bridge does; nothing is left behind.

    A recorded session of people and their coding agents is sent to a bridge
    on this machine, through its real gRPC port. What the bridge delivers is
    printed as a tree.
    """
    set_up_logging(LogConfig(level="warning"))
    with (
        TemporaryDirectory(prefix="otelbridge-demo-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        try:
            runner.run(_demo(Path(folder), keep=keep))
        except asyncio.CancelledError:
            sys.exit(_TERMINATED)


async def _demo(folder: Path, *, keep: bool) -> None:
    _cancel_on_sigterm()
    console = Console(highlight=False)
    async with AsyncExitStack() as stack:
        receiver = OtlpReceiver()
        await receiver.start()
        stack.push_async_callback(receiver.stop)
        calls = session(time.time_ns())
        config, key = make_world(folder, calls, receiver.endpoint)
        server = Server(config, environ={})
        await server.start()
        stack.push_async_callback(server.stop)
        _print_begin(console, server, calls)
        results = await _send(server, calls, key)
        if results.unexpected:
            raise OtelBridgeError(f"{results.unexpected} of {results.total} calls failed")
        await _await_spans(receiver, calls)
        _print_story(console, receiver.spans, results)
        await _print_end(console, server, keep=keep)


def _cancel_on_sigterm() -> None:
    """Let a terminated demo clean up after itself."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _send(server: Server, calls: Sequence[CapturedCall], key: str) -> Results:
    async with connected(Target(address=server.addresses["grpc"]), key=key) as caller:
        with progress("replaying a session of 40 s", total=len(calls)) as advance:
            return await send_calls(caller, calls, speed=_SPEED, on_answer=advance)


async def _await_spans(receiver: OtlpReceiver, calls: Sequence[CapturedCall]) -> None:
    expected = {UUID(call.interception).bytes for call in calls if call.is_start}

    def is_told(spans: Sequence[Span]) -> bool:
        return expected <= {span.trace_id for span in spans if is_chat(span)}

    try:
        async with asyncio.timeout(_TELLING_LIMIT_S):
            await receiver.wait_until(is_told)
    except TimeoutError:
        raise OtelBridgeError("the bridge did not deliver every span in time") from None


def _print_begin(console: Console, server: Server, calls: Sequence[CapturedCall]) -> None:
    console.print("A bridge is listening:")
    _print_addresses(console, server)
    starts = sum(call.is_start for call in calls)
    console.print(f"{starts} recorded LLM requests are reported to it over gRPC ...")
    console.print()


def _print_addresses(console: Console, server: Server) -> None:
    for name, address in server.addresses.items():
        console.print(f"  {name:<8} {address}", style="cyan", soft_wrap=True)


def _print_story(console: Console, spans: Sequence[Span], results: Results) -> None:
    told = conversations(spans)
    for conversation in told:
        console.print(conversation_tree(conversation))
        console.print()
    for line in totals(told):
        console.print(line, style="bold")
    failed = sorted({code for _, code in results.codes if code != "OK"})
    answers = f"answered {', '.join(failed)}" if failed else "all answered OK"
    console.print(f"{results.total} calls in, {answers}; {len(spans)} spans out by OTLP")
    console.print()


async def _print_end(console: Console, server: Server, *, keep: bool) -> None:
    if not keep:
        console.print("With --keep the bridge goes on running, with a page to open in a browser.")
        return
    stop = stop_signals()
    console.print("The bridge runs until Ctrl-C:")
    _print_addresses(console, server)
    console.print(f"Open {server.addresses['page']} to see all of it.", soft_wrap=True)
    sys.stdout.flush()
    await stop.wait()
