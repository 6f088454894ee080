"""``otelbridge serve``: run the bridge."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import click
import uvloop

from otelbridge.commands.settings import config_option, read_settings
from otelbridge.logs import set_up_logging
from otelbridge.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otelbridge.config import Config

logger = logging.getLogger(__name__)

# A shell's convention: a process that a signal ended has 128 and its number.
_SIGNALLED = 128
# Two thousand connections over HTTP, as many over gRPC, and all else twice over.
_OPEN_FILES = 8192


@click.command()
@config_option
def serve(config_path: Path) -> None:
    """Run the bridge until it is told to stop.

    SIGTERM and SIGINT drain: calls that were received are answered. A second
    signal ends it at once; what was acknowledged is on disk. SIGHUP reads the
    store file again, which a change of it does too, and the headers and
    certificates of destinations.
    """
    read = partial(read_settings, config_path, os.environ)
    config = read()
    set_up_logging(config.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_serve(config, read)))


async def _serve(config: Config, read: Callable[[], Config]) -> int:
    stop = stop_signals()
    server = Server(config, environ=os.environ, read=read)
    await server.start()
    on_hangup = partial(server.reload, asked_by="SIGHUP")
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_hangup)
    _spare_collector()
    _allow_open_files()
    print_addresses(server)
    return await server.run_until(stop)


def _spare_collector() -> None:
    """Keep the garbage collector from walking through what lives as long as the process.

    Prices, settings and generated code are half a million objects: a full
    collection under load took longer than a hundred calls. Records are freed
    by their reference counts; rarer collections find the few cycles that
    errors leave. docs/performance.md has the figures.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 100)


def _allow_open_files() -> None:
    """Let the process have as many connections as its listeners allow.

    Where nothing else is set, 1,024 files may be open, and the user may say more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def print_addresses(server: Server) -> None:
    """Print where the bridge listens and where it delivers to, a line each."""
    for name, address in server.addresses.items():
        click.echo(f"{name} {address}")
    for name, protocol, endpoint in server.destinations:
        click.echo(f"destination {name} {protocol} {endpoint}")
    if not server.destinations:
        click.echo("no destination: nothing is exported")
    sys.stdout.flush()


def stop_signals() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets; a second one ends the process."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_stop(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(_SIGNALLED + number)
        logger.info("%s: draining", number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop, number)
    loop.add_signal_handler(signal.SIGHUP, logger.info, "SIGHUP: nothing to reload yet")
    return stop
