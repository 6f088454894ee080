"""``otelbridge mcp logout``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from otelbridge.commands.mcp.files import opened, unset_variable, uuid_of
from otelbridge.commands.mcp.running import HTTP_LIMIT_S, run
from otelbridge.domain.access import OAuth2Auth
from otelbridge.errors import ConfigError, OAuthError, escaped
from otelbridge.oauth.endpoints import endpoints_of
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.revocation import revoke

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from otelbridge.commands.mcp.files import Files
    from otelbridge.domain.access import McpServer
    from otelbridge.store.tokens import Link

# A refresh that is under way has 30 s for its request.
_REFRESH_LIMIT_S = 60.0


def log_out(config_path: Path, server_id: str, user_name: str) -> None:
    """Remove a link, and revoke its tokens if that can be done.

    Args:
        config_path: The settings.
        server_id: An MCP server's id; one that the store does not have any
            more will do.
        user_name: A user's name or id.

    Raises:
        ConfigError: If there is no such link.
        StoreError: If it cannot be removed.
    """
    files = opened(config_path)
    user_id = _user_id(files, user_name)
    link = run(_removed(files, server_id, user_id))
    names = f'"{escaped(user_name)}" at MCP server "{escaped(server_id)}"'
    if link is None:
        raise ConfigError("", f"no login of {names}")
    click.echo(f"removed the login of {names}", err=True)
    problem = run(_revocation_problem(files.snapshot.mcp_servers.get(server_id), link))
    if problem:
        click.echo(
            f"its tokens are not revoked, they stay good until they end: {problem}", err=True
        )
    else:
        click.echo("its tokens are revoked", err=True)


def _user_id(files: Files, name: str) -> UUID:
    user = files.find_user(name)
    user_id = uuid_of(name) if user is None else user.id
    return files.user(name).id if user_id is None else user_id


async def _removed(files: Files, server_id: str, user_id: UUID) -> Link | None:
    """Remove a link and return it; no refresh is under way meanwhile, which would bring it back."""
    removed: list[Link | None] = []

    def remove(link: Link | None) -> None:
        removed.append(link)

    async with files.tokens.refreshing(server_id, user_id, timeout_s=_REFRESH_LIMIT_S):
        files.tokens.update(server_id, user_id, remove)
    return removed[-1]


async def _revocation_problem(server: McpServer | None, link: Link) -> str:
    """Revoke tokens; return why they are not revoked, empty if they are."""
    if server is None or not isinstance(server.auth, OAuth2Auth):
        return "the store has no authorization server for it"
    variable = unset_variable(server.auth.client_secret)
    if variable:
        return f'auth.client_secret: environment variable "{variable}" is not set'
    try:
        async with OAuthHttp(timeout_s=HTTP_LIMIT_S) as http:
            metadata = await endpoints_of(
                http, server.auth, resource=server.url, needed="revocation_endpoint"
            )
            if not metadata.revocation_endpoint:
                return "no revocation endpoint is known"
            await revoke(http, metadata, server.auth, link)
    except OAuthError as error:
        return str(error)
    return ""
