"""``otelbridge keys``: the keys that users show to gateways."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from otelbridge.commands.listing import json_option, print_list
from otelbridge.commands.settings import config_option
from otelbridge.commands.store_file import edited, viewed
from otelbridge.domain.access import Status
from otelbridge.errors import escaped
from otelbridge.store import new_key

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.commands.listing import Item
    from otelbridge.domain.access import Snapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_AGE = re.compile(r"([0-9]{1,9})([hdw])")
# RFC 3339, section 5.6: letters in either case, a space where it reads better.
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)
_ALLOWED = "a time from now, as 12h, 90d or 4w, or RFC 3339, as 2027-01-01T00:00:00Z"


def expiry(text: str, now: datetime) -> datetime:
    """Return when a key ends, UTC, in whole seconds.

    Args:
        text: Hours, days (of 24 hours) or weeks from now; or a time, or the
            date of a day (UTC) at whose beginning the key ends.
        now: The time, aware.

    Raises:
        ValueError: If it is neither, or not in the future.
    """
    shown = f'"{escaped(text)}"'
    try:
        instant = _instant(text, now)
    except (OverflowError, ValueError):
        raise ValueError(f"{shown} is not {_ALLOWED}, before the year 10000") from None
    if instant <= now:
        raise ValueError(f"{shown} is not in the future: it is {_rfc3339(now)}")
    return instant


def _instant(text: str, now: datetime) -> datetime:
    age = _AGE.fullmatch(text)
    if age is not None:
        instant = now + int(age[1]) * _UNITS[age[2]]
    elif _TIME.fullmatch(text):
        instant = datetime.fromisoformat(text.upper())
        instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    else:
        raise ValueError("neither form")
    return instant.astimezone(UTC).replace(microsecond=0)


@click.group()
def keys() -> None:
    """Create, list and revoke users' keys.

    A running bridge takes a change within a second.
    """


@keys.command()
@config_option
@click.option("--user", required=True, metavar="NAME", help="Whose key.")
@click.option("--expires", metavar="WHEN", help=f"When it ends: {_ALLOWED}. [default: never]")
def create(config_path: Path, user: str, expires: str | None) -> None:
    """Create a key of a user, and print it.

    The key is printed once, alone, on standard output; only its hash is stored.
    """
    expires_at = _expires_at(expires)
    key = new_key()
    with edited(config_path) as store:
        store.add_key(user, key, expires_at=expires_at)
        status = store.status_of(user)
    until = f", until {_rfc3339(expires_at)}" if expires_at else ""
    click.echo(f'created key {key.id} of "{user}"{until}', err=True)
    if status is not Status.ACTIVE:
        click.echo(f'user "{user}" is {status}: the key is refused until that changes', err=True)
    click.echo("keep the key: only its hash is stored", err=True)
    click.echo(key.key.reveal())


def _expires_at(text: str | None) -> datetime | None:
    try:
        return None if text is None else expiry(text, _utc(time.time_ns()))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--expires'") from None


@keys.command("list")
@config_option
@json_option
def list_keys(config_path: Path, *, as_json: bool) -> None:
    """List the keys: ids, users, whether they are accepted and until when."""
    print_list(items(viewed(config_path), time.time_ns()), as_json=as_json, nothing="no keys")


def items(snapshot: Snapshot, now_ns: int) -> list[Item]:
    """Return what is listed, in the file's order."""
    listed: list[Item] = []
    for key in snapshot.keys.values():
        ends_ns = key.expires_at_ns
        is_expired = ends_ns is not None and ends_ns <= now_ns
        status = "expired" if is_expired else key.user.status.value
        ends = (
            None if ends_ns is None else _rfc3339(_EPOCH + timedelta(microseconds=ends_ns // 1000))
        )
        listed.append({"id": key.id, "user": key.user.name, "status": status, "expires_at": ends})
    return listed


@keys.command()
@config_option
@click.argument("key_id", metavar="ID")
def revoke(config_path: Path, key_id: str) -> None:
    """Remove a key, by its id (what is before the "-"): it is refused from now on."""
    with edited(config_path) as store:
        user = store.remove_key(key_id)
    click.echo(f'revoked key {key_id} of "{user}"', err=True)


def _utc(at_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def _rfc3339(instant: datetime) -> str:
    text = instant.astimezone(UTC).isoformat(timespec="auto")
    return text.replace("+00:00", "Z")
