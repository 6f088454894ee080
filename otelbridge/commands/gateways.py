"""``otelbridge gateways``: the gateways that may connect, and who has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from otelbridge.commands.listing import json_option, print_list
from otelbridge.commands.mcp.times import instant
from otelbridge.commands.settings import config_option, read_settings
from otelbridge.commands.store_file import edited, viewed
from otelbridge.store import new_gateway_key
from otelbridge.transports.control import ask, control_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelbridge.commands.listing import Item

    #: A session as a running bridge tells of it; see `otelbridge.transports.gateway.sessions`.
    Session: TypeAlias = dict[str, Any]

# Of a gateway with many sessions; the others are counted.
_MAX_SHOWN = 3


@click.group()
def gateways() -> None:
    """Add, list and revoke gateways that may connect.

    A running bridge takes a change within a second.
    """


@gateways.command()
@config_option
@click.argument("name")
def add(config_path: Path, name: str) -> None:
    """Add a gateway, and print its key.

    The key is printed once, alone, on standard output; only its hash is stored.
    """
    key = new_gateway_key()
    with edited(config_path) as store:
        store.add_gateway(name, key)
    click.echo(f'added gateway "{name}"; keep the key: only its hash is stored', err=True)
    click.echo(key.key.reveal())


@gateways.command("list")
@config_option
@json_option
def list_gateways(config_path: Path, *, as_json: bool) -> None:
    """List the gateways, and which of them are connected.

    Only a running bridge knows who is connected.
    """
    names = [gateway.name for gateway in viewed(config_path).gateways.values()]
    journal = read_settings(config_path, os.environ).journal.path
    sessions: list[Session] | None = ask(control_path(journal), "gateways")
    print_list(items(names, sessions), as_json=as_json, nothing="no gateways")


def items(names: Iterable[str], sessions: list[Session] | None) -> list[Item]:
    """Return what is listed.

    Args:
        names: The gateways of the store, in its order.
        sessions: Who is connected; None if nobody knows, as no bridge runs.
    """
    return [_item(name, sessions) for name in names]


def _item(name: str, sessions: list[Session] | None) -> Item:
    own = [each for each in sessions or () if each["name"] == name]
    return {
        "name": name,
        "connected": None if sessions is None else bool(own),
        "sessions": None if sessions is None else len(own),
        "api_version": _different(each["version"] for each in own),
        "build": _different(each["build"] for each in own),
        "since": instant(min(each["since_ns"] for each in own)) if own else None,
        "peer": _different(_host(each["peer"]) for each in own),
    }


def _different(values: Iterable[str]) -> str | None:
    """Return the different values as one text: a gateway may have many sessions."""
    found = list(dict.fromkeys(filter(None, values)))
    shown = ", ".join(found[:_MAX_SHOWN])
    more = len(found) - _MAX_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown or None


def _host(peer: str) -> str:
    """Return the host of an address as gRPC writes it: its port means nothing to people."""
    return peer.partition(":")[2].rpartition(":")[0].strip("[]")


@gateways.command()
@config_option
@click.argument("name")
def revoke(config_path: Path, name: str) -> None:
    """Remove a gateway: its key is refused from now on."""
    with edited(config_path) as store:
        store.remove_gateway(name)
    click.echo(f'revoked the key of gateway "{name}"', err=True)
