"""``otelbridge mcp list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.domain.access import Grant, OAuth2Auth, StaticAuth

if TYPE_CHECKING:
    from otelbridge.commands.listing import Item
    from otelbridge.domain.access import McpServer, Snapshot
    from otelbridge.store.tokens import Links


def server_items(snapshot: Snapshot, links: Links) -> list[Item]:
    """Return what is listed of each MCP server, in the file's order.

    ``users`` is how many of the store's users have a token for it.
    """
    return [
        {
            "id": server.id,
            "auth": auth_of(server),
            "users": _users(server, snapshot, links),
            "tool_allow_regex": server.tool_allow_regex or None,
            "tool_deny_regex": server.tool_deny_regex or None,
            "url": server.url,
        }
        for server in snapshot.mcp_servers.values()
    ]


def auth_of(server: McpServer) -> str:
    """Return how a server's tokens are got, in a word."""
    if server.auth is None:
        return "none"
    if isinstance(server.auth, StaticAuth):
        return "static"
    return "client_credentials" if server.auth.grant is Grant.CLIENT_CREDENTIALS else "oauth2"


def _users(server: McpServer, snapshot: Snapshot, links: Links) -> int:
    auth = server.auth
    if auth is None:
        return len(snapshot.users)
    if isinstance(auth, OAuth2Auth):
        owners = {owner for server_id, owner in links if server_id == server.id}
        is_for_all = auth.grant is Grant.CLIENT_CREDENTIALS
        return len(snapshot.users if is_for_all else owners & snapshot.users.keys())
    return sum(auth.token_of(user_id) is not None for user_id in snapshot.users)
