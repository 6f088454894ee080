"""``otelbridge gateways``: the gateways that may connect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from otelbridge.commands.listing import json_option, print_list
from otelbridge.commands.settings import config_option
from otelbridge.commands.store_file import edited, viewed
from otelbridge.store import new_gateway_key

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.commands.listing import Item


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
    """List the gateways."""
    snapshot = viewed(config_path)
    items: list[Item] = [{"name": gateway.name} for gateway in snapshot.gateways.values()]
    print_list(items, as_json=as_json, nothing="no gateways")


@gateways.command()
@config_option
@click.argument("name")
def revoke(config_path: Path, name: str) -> None:
    """Remove a gateway: its key is refused from now on."""
    with edited(config_path) as store:
        store.remove_gateway(name)
    click.echo(f'revoked the key of gateway "{name}"', err=True)
