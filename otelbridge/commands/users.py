"""``otelbridge users``: the people of the store."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from otelbridge.commands.listing import json_option, print_list
from otelbridge.commands.settings import config_option
from otelbridge.commands.store_file import edited, viewed
from otelbridge.domain.access import Status

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.commands.listing import Item
    from otelbridge.domain.access import Snapshot
    from otelbridge.store.editing import Removed


@click.group()
def users() -> None:
    """Add, list, suspend and remove people in the store.

    A running bridge takes a change within a second.
    """


@users.command()
@config_option
@click.argument("name")
@click.option("--id", "user_id", metavar="UUID", help="What RPCs call the user; else a random one.")
def add(config_path: Path, name: str, user_id: str | None) -> None:
    """Add a user, who is active and has no key yet."""
    user_id = str(uuid4()) if user_id is None else user_id.lower()
    with edited(config_path) as store:
        store.add_user(name, user_id)
    click.echo(f'added user "{name}" with the id {user_id}', err=True)


@users.command("list")
@config_option
@json_option
def list_users(config_path: Path, *, as_json: bool) -> None:
    """List the users, with how many keys each has."""
    print_list(items(viewed(config_path)), as_json=as_json, nothing="no users")


def items(snapshot: Snapshot) -> list[Item]:
    """Return what is listed, in the file's order."""
    keys = Counter(key.user.id for key in snapshot.keys.values())
    return [
        {
            "name": user.name,
            "status": user.status.value,
            "keys": keys[user.id],
            "id": str(user.id),
        }
        for user in snapshot.users.values()
    ]


@users.command()
@config_option
@click.argument("name")
def suspend(config_path: Path, name: str) -> None:
    """Refuse a user's keys until the user is activated again."""
    _set_status(config_path, name, Status.SUSPENDED)


@users.command()
@config_option
@click.argument("name")
def activate(config_path: Path, name: str) -> None:
    """Accept the keys of a suspended or dormant user again."""
    _set_status(config_path, name, Status.ACTIVE)


@users.command()
@config_option
@click.argument("name")
def remove(config_path: Path, name: str) -> None:
    """Remove a user, with their keys, budget and static tokens.

    What was removed is told.
    """
    with edited(config_path) as store:
        removed = store.remove_user(name)
    for line in _told(name, removed):
        click.echo(line, err=True)


def _told(name: str, removed: Removed) -> list[str]:
    lines = [f'removed user "{name}"']
    lines += [f"removed key {key_id}" for key_id in removed.keys]
    lines += [f'removed the budget of "{name}"'] * removed.budgets
    lines += [f'removed the token of "{name}" at MCP server "{id_}"' for id_ in removed.servers]
    return lines


def _set_status(config_path: Path, name: str, status: Status) -> None:
    with edited(config_path) as store:
        is_change = store.set_status(name, status)
    click.echo(f'user "{name}" is {status}{"" if is_change else " already"}', err=True)
