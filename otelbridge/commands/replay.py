"""``otelbridge replay``: send recorded requests to a bridge."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop
from rich.console import Console
from rich.table import Table

from otelbridge.commands.progress import progress
from otelbridge.errors import escaped
from otelbridge.transports.capture import read_capture
from otelbridge.transports.client import Results, send_calls
from otelbridge.transports.fresh import freshened
from otelbridge.transports.target import Target, connected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelbridge.transports.capture import CapturedCall

_TEXT_LENGTH = 200


def _speed(_context: click.Context, _option: click.Parameter, value: str) -> float | None:
    """Return how many times as fast as recorded, None for as fast as it goes."""
    if value == "max":
        return None
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor max")
    return speed


@click.command()
@click.argument("capture", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "url",
    required=True,
    metavar="URL",
    help="grpc://HOST:PORT, or ws://HOST:PORT as a stock gateway; grpcs://, wss:// for TLS.",
)
@click.option(
    "--key",
    envvar="OTELBRIDGE_KEY",
    metavar="KEY",
    help="A gateway key. Better OTELBRIDGE_KEY in the environment: `ps` shows options.",
)
@click.option(
    "--speed",
    callback=_speed,
    default="1",
    metavar="N|max",
    help="How many times as fast as recorded.",
)
@click.option("--fresh", is_flag=True, help="New ids, and times that end now.")
@click.option("--ca", type=click.Path(path_type=Path), metavar="FILE", help="Whom to trust (PEM).")
def replay(
    capture: Path, *, url: str, key: str | None, speed: float | None, fresh: bool, ca: Path | None
) -> None:
    """Send recorded requests to a bridge, as they were recorded.

    CAPTURE is JSON Lines, a call a line. Without --fresh a second replay is
    all repeats, which a bridge counts once, and an old capture is old.
    """
    try:
        target = Target.parse(url, ca=ca)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to") from None
    calls = read_capture(capture)
    if fresh:
        calls = freshened(calls, now_ns=time.time_ns())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results = runner.run(_replay(target, calls, key=key, speed=speed))
    print_results(Console(highlight=False), results)
    sys.exit(1 if results.unexpected else 0)


async def _replay(
    target: Target, calls: Sequence[CapturedCall], *, key: str | None, speed: float | None
) -> Results:
    async with connected(target, key=key) as caller:
        with progress("replaying", total=len(calls)) as advance:
            return await send_calls(caller, calls, speed=speed, on_answer=advance)


def print_results(console: Console, results: Results) -> None:
    """Print how many calls were answered how, and the texts of errors.

    Refused are those that a bridge in order may answer so: its store does
    not know whom the capture tells of.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("calls", justify="right")
    for (rpc, code), count in sorted(results.codes.items()):
        table.add_row(rpc, code, str(count))
    console.print(table)
    for (rpc, code), text in sorted(results.texts.items()):
        shown = escaped(text, _TEXT_LENGTH)
        console.print(f"{rpc} {code}: {shown}", markup=False, soft_wrap=True)
    answered = sum(count for (_, code), count in results.codes.items() if code == "OK")
    refused = results.total - answered - results.unexpected
    console.print(
        f"{results.total} calls: {answered} OK, {refused} refused, {results.unexpected} failed",
        style="bold",
    )
