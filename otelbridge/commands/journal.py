"""``otelbridge journal``: what the journal holds, whether it is sound, and a copy of it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otelbridge.commands.listing import print_list
from otelbridge.commands.settings import config_option, read_settings
from otelbridge.errors import JournalError
from otelbridge.journal import SqliteJournal
from otelbridge.journal.backup import back_up, back_up_at_rest
from otelbridge.journal.inspection import problems
from otelbridge.journal.inspection import status as status_of
from otelbridge.transports.control import ask, control_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelbridge.commands.listing import Item

_NS = 1_000_000_000
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024

_json = click.option("--json", "as_json", is_flag=True, help="A JSON object, not lines.")


@click.group()
def journal() -> None:
    """Look at the journal, verify it, or copy it.

    The running bridge is asked; where none runs, its journal is opened.
    """


@journal.command()
@config_option
@_json
def status(config_path: Path, *, as_json: bool) -> None:
    """Print what the journal holds, and what waits for each destination."""
    path = read_settings(config_path, os.environ).journal.path
    found = _status(path)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in _summary(found):
        click.echo(f"{name:<12}{value}")
    lanes = [_lane(each) for each in found["destinations"]]
    if lanes:
        click.echo()
        print_list(lanes, as_json=False, nothing="")


@journal.command()
@config_option
@click.argument("file", required=False, type=click.Path(exists=True, path_type=Path))
@_json
def verify(config_path: Path, file: Path | None, *, as_json: bool) -> None:
    """Look at everything in the journal, or in a copy of it.

    Prints what is wrong and exits with 1 if anything is. Of a journal that a
    bridge uses, a copy is made for it, and removed.
    """
    if file is not None:
        found = _problems(file)
    else:
        found = _problems_of_any(read_settings(config_path, os.environ).journal.path)
    if as_json:
        click.echo(json.dumps({"ok": not found, "problems": found}, indent=2))
    else:
        for line in found or ["the journal is sound"]:
            click.echo(line)
    sys.exit(1 if found else 0)


@journal.command()
@config_option
@click.argument("target", type=click.Path(path_type=Path))
def backup(config_path: Path, target: Path) -> None:
    """Copy the journal to TARGET, as it is now, while it is in use or not.

    The copy is a journal: put in the place of another one, while no bridge
    runs, it is what a bridge starts with.
    """
    path = read_settings(config_path, os.environ).journal.path
    _back_up(path, target)
    click.echo(f"{target}: {_size(target.stat().st_size)}")


def _status(path: Path) -> dict[str, Any]:
    told: dict[str, Any] | None = ask(control_path(path), "journal-status")
    if told is not None:
        return told
    opened = _open(path)
    try:
        return {**status_of(opened), "unread": 0, "disk_is_full": False}
    finally:
        opened.close()


def _open(path: Path) -> SqliteJournal:
    if not path.exists():
        raise JournalError(f"{path}: no bridge runs here, and none has kept a journal")
    return SqliteJournal(path, salvages=False)


def _problems(path: Path) -> list[str]:
    try:
        opened = _open(path)
    except JournalError as error:
        return [str(error)]
    try:
        return list(problems(opened))
    finally:
        opened.close()


def _problems_of_any(path: Path) -> list[str]:
    if not _is_in_use(path):
        return _problems(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".verify-") as folder:
        copy = Path(folder) / "journal.db"
        _back_up(path, copy)
        return _problems(copy)


def _is_in_use(path: Path) -> bool:
    return ask(control_path(path), "journal-status") is not None


def _back_up(path: Path, target: Path) -> None:
    control = control_path(path)
    if not _is_in_use(path):
        _open(path).close()
        back_up_at_rest(path, target)
        return
    back_up(
        path,
        target,
        begin=lambda: ask(control, "journal-backup-begin"),
        end=lambda: bool((ask(control, "journal-backup-end") or {}).get("stayed")),
    )


def _summary(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "path", found["path"]
    yield "format", str(found["format"])
    size, unused, log = (_size(found[name]) for name in ("bytes", "unused_bytes", "log_bytes"))
    yield "size", f"{size}, {unused} unused, {log} in its log"
    free, reserve = _size(found["free_bytes"]), _size(found["reserve_bytes"])
    full = ": the disk is full" if found["disk_is_full"] else ""
    yield "disk", f"{free} free, {reserve} in reserve{full}"
    unread = f", {found['unread']} not read since the start" if found["unread"] else ""
    yield "open", f"{found['records']} records{unread}{_since(found['oldest_ns'])}"
    yield "remembered", f"{found['remembered']} finalised interceptions"
    if found["quarantined"]:
        yield "quarantine", f"{found['quarantined']} damaged rows"
    for name in found["put_aside"]:
        yield "put aside", name


def _lane(lane: dict[str, Any]) -> Item:
    return {
        "destination": lane["name"],
        "signal": lane["signal"],
        "waiting": lane["waiting"],
        "size": _size(lane["bytes"]),
        "age": _since(lane["oldest_ns"]).removeprefix(", the oldest ") or None,
        "dead_letters": lane["dead_letters"],
    }


def _since(at_ns: int | None) -> str:
    if at_ns is None:
        return ""
    seconds = max(0, time.time_ns() - at_ns) // _NS
    return f", the oldest {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} old"


def _size(number: float) -> str:
    for unit in _UNITS:
        if number < _STEP or unit == _UNITS[-1]:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _STEP
    raise AssertionError
