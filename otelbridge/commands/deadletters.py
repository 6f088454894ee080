"""``otelbridge deadletters``: what destinations refused for good."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from otelbridge.commands.letter_content import as_lines, as_object, time_of
from otelbridge.commands.letters import move_all, open_letters
from otelbridge.commands.listing import json_option, print_list
from otelbridge.commands.settings import config_option, read_settings
from otelbridge.errors import OtelBridgeError
from otelbridge.journal.dead_letters import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.commands.letters import Moved
    from otelbridge.commands.listing import Item
    from otelbridge.journal.dead_letters import DeadLetter

_destination = click.option(
    "--destination", metavar="NAME", help="Those of one destination, in place of numbers."
)
_ids = click.argument("ids", nargs=-1, type=click.IntRange(min=1), metavar="[ID]...")
_all = click.option("--all", "everything", is_flag=True, help="All of them.")
_outcome = click.option("--json", "as_json", is_flag=True, help="A JSON object, not a line.")


@click.group()
def deadletters() -> None:
    """List, show, resend and drop what destinations refused for good.

    A dead letter is a part of an interception's telemetry: spans or log
    records that a destination said it will never take. They count against
    the destination's max_bytes, and the oldest go first.

    The running bridge is asked; where none runs, its journal is opened.
    """


@deadletters.command("list")
@config_option
@_destination
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at most."
)
@json_option
def list_letters(config_path: Path, *, destination: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, the oldest first."""
    config = read_settings(config_path, os.environ)
    with open_letters(config) as letters:
        found = letters.listed(Selection(destination=destination), limit=limit)
    items = [_item(letter) for letter in found.letters]
    print_list(items, as_json=as_json, nothing="no dead letters")
    if found.total > len(items):
        click.echo(f"{found.total - len(items):,} more", err=True)


@deadletters.command()
@config_option
@click.argument("number", type=click.IntRange(min=1), metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="OTLP's JSON, not lines.")
def show(config_path: Path, number: int, *, as_json: bool) -> None:
    """Print a dead letter with its spans or log records.

    Everything in it is printed, prompts and tool arguments too if they were
    to be delivered.
    """
    with open_letters(read_settings(config_path, os.environ)) as letters:
        shown = letters.shown(number)
    if shown is None:
        raise OtelBridgeError(f"there is no dead letter {number}")
    if as_json:
        click.echo(json.dumps(as_object(shown), indent=2))
    else:
        click.echo("\n".join(as_lines(shown)))


@deadletters.command()
@config_option
@_ids
@_destination
@_all
@_outcome
def resend(
    config_path: Path,
    ids: tuple[int, ...],
    *,
    destination: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Tell dead letters once more, to the destination that refused them.

    They are delivered after what waits already, or at the next start if no
    bridge runs. What is refused again is a dead letter again.
    """
    selection = _selection(ids, destination=destination, everything=everything)
    with open_letters(read_settings(config_path, os.environ)) as letters:
        moved = move_all(letters, letters.resend, selection)
    _tell(moved, ids, "told once more", as_json=as_json)


@deadletters.command()
@config_option
@_ids
@_destination
@_all
@_outcome
def drop(
    config_path: Path,
    ids: tuple[int, ...],
    *,
    destination: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Forget dead letters for good."""
    selection = _selection(ids, destination=destination, everything=everything)
    with open_letters(read_settings(config_path, os.environ)) as letters:
        moved = move_all(letters, letters.drop, selection)
    _tell(moved, ids, "dropped", as_json=as_json)


def _selection(ids: tuple[int, ...], *, destination: str | None, everything: bool) -> Selection:
    if sum((bool(ids), destination is not None, everything)) != 1:
        raise click.UsageError("give numbers, --destination or --all, and one of them only")
    return Selection(ids=ids or None, destination=destination)


def _tell(moved: Moved, ids: tuple[int, ...], done: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(moved._asdict()))
    else:
        click.echo(f"{_count(moved.letters, 'dead letter')} {done}: {_count(moved.items, 'item')}")
    problems = []
    if moved.skipped:
        problems.append(
            f"{_count(moved.skipped, 'dead letter')} left: of a destination or signal that the"
            " settings do not have any more"
        )
    missing = len(set(ids)) - moved.letters - moved.skipped
    if ids and missing:
        problems.append(f"{_count(missing, 'number')} of no dead letter")
    if problems:
        raise OtelBridgeError("\n".join(problems))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _item(letter: DeadLetter) -> Item:
    return {
        "id": letter.id,
        "destination": letter.destination,
        "signal": letter.signal.value,
        "items": letter.items,
        "size": letter.size,
        "at": time_of(letter.at_ns),
        "reason": letter.reason,
    }
