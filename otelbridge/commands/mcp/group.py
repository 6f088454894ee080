"""``otelbridge mcp``: what people type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from otelbridge.clock import SteadyClock
from otelbridge.commands.listing import json_option, print_list
from otelbridge.commands.mcp.files import opened
from otelbridge.commands.mcp.login import Way, log_in
from otelbridge.commands.mcp.logout import log_out
from otelbridge.commands.mcp.running import run
from otelbridge.commands.mcp.servers import server_items
from otelbridge.commands.mcp.status import standings
from otelbridge.commands.mcp.trials import tried
from otelbridge.commands.settings import config_option

if TYPE_CHECKING:
    from pathlib import Path

_LAST_PORT = 65535
_LOGIN_LIMIT_S = 300.0


@click.group()
def mcp() -> None:
    """List MCP servers, and log users in there.

    A running bridge uses a new login at once.
    """


@mcp.command("list")
@config_option
@json_option
def list_servers(config_path: Path, *, as_json: bool) -> None:
    """List the MCP servers, with how many users have a token for each."""
    files = opened(config_path)
    items = server_items(files.snapshot, files.tokens.read())
    print_list(items, as_json=as_json, nothing="no MCP servers")


@mcp.command()
@config_option
@click.argument("server")
@click.option("--user", "user_name", metavar="NAME", required=True, help="Whose login.")
@click.option("--device", is_flag=True, help="Enter a code on another machine: no browser here.")
@click.option("--no-browser", is_flag=True, help="Only print the page; open none.")
@click.option(
    "--port",
    type=click.IntRange(0, _LAST_PORT),
    default=0,
    metavar="PORT",
    help="Where the browser brings the answer, on 127.0.0.1; else any free port.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1, 86400),
    default=_LOGIN_LIMIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the user.",
)
def login(
    config_path: Path,
    server: str,
    *,
    user_name: str,
    device: bool,
    no_browser: bool,
    port: int,
    timeout_s: float,
) -> None:
    """Log a user in at an MCP server.

    The page of its authorization server is printed, and opened in a browser
    if there is one. Register http://127.0.0.1/callback there as the redirect.
    """
    way = Way(is_device=device, opens_browser=not no_browser, port=port, timeout_s=timeout_s)
    log_in(config_path, server, user_name, way)


@mcp.command()
@config_option
@click.argument("server")
@click.option("--user", "user_name", metavar="NAME", required=True, help="Whose login.")
def logout(config_path: Path, server: str, *, user_name: str) -> None:
    """Remove a user's login at an MCP server, and revoke its tokens if that can be done."""
    log_out(config_path, server, user_name)


@mcp.command()
@config_option
@json_option
@click.option("--check", "is_checked", is_flag=True, help="Try the tokens at validate_url.")
def status(config_path: Path, *, as_json: bool, is_checked: bool) -> None:
    """Tell which tokens work, until when, and what is wrong with the others.

    Only files are read, unless --check asks the servers. No token is shown.
    """
    files = opened(config_path)
    found = list(standings(files.snapshot, files.tokens.read(), now_ns=SteadyClock()()))
    if is_checked:
        found = run(tried(found))
    items = [each.item() if as_json else each.cells() for each in found]
    print_list(items, as_json=as_json, nothing="no MCP servers")
