"""``otelbridge top``: what a running bridge does, live."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.live import Live

from otelbridge.commands.settings import config_option, read_settings
from otelbridge.commands.top_screen import screen
from otelbridge.errors import JournalError
from otelbridge.transports.control import ask, control_path

if TYPE_CHECKING:
    from pathlib import Path

_WIDE = 120


@click.command()
@config_option
@click.option(
    "--interval",
    type=click.FloatRange(0.5, 60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often it is looked.",
)
@click.option("--once", is_flag=True, help="Print what is there and end.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON and end.")
def top(config_path: Path, *, interval: float, once: bool, as_json: bool) -> None:
    """Watch a running bridge: what arrives, what it costs, and who is behind.

    Ends with Ctrl-C. Where the output is no terminal, it is printed once.
    """
    path = control_path(read_settings(config_path, os.environ).journal.path)
    console = Console()
    if as_json:
        click.echo(json.dumps(_look(path), indent=2))
    elif once or not console.is_terminal:
        console = console if console.is_terminal else Console(width=_WIDE)
        console.print(screen(_look(path)), highlight=False)
    else:
        _watch(console, path, interval)


def _watch(console: Console, path: Path, interval: float) -> None:
    pause = threading.Event()
    with Live(
        screen(_look(path), height=console.height),
        console=console,
        screen=True,
        auto_refresh=False,
        vertical_overflow="crop",
    ) as live:
        try:
            while not pause.wait(interval):
                live.update(screen(_look(path), height=console.height), refresh=True)
        except KeyboardInterrupt:
            return


def _look(path: Path) -> dict[str, Any]:
    view: dict[str, Any] | None = ask(path, "view")
    if view is None:
        raise JournalError("no bridge runs here: there is nothing to watch")
    return view
