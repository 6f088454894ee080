"""Tokens that change by themselves: ``tokens.json`` beside the store file.

``{"<server>": {"<user id>": {"access_token", "refresh_token", "expires_at", "scopes"}}}``;
times are RFC 3339.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from otelbridge.domain.access import Secret, StaticAuth
from otelbridge.errors import StoreError
from otelbridge.store.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from otelbridge.domain.access import McpServer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_BYTES = 64 * 1024 * 1024  # 10,000 users with a 2 KiB token at each of three servers
# A token this close to its end may expire on its way to the MCP server.
_LEEWAY_NS = 30_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A user's login at an MCP server.

    Attributes:
        access_token: What the server is sent.
        expires_at_ns: When it ends; None if the authorization server did not say.
    """

    access_token: Secret
    expires_at_ns: int | None = None


#: Logins by MCP server id and user.
Links: TypeAlias = "Mapping[tuple[str, UUID], Link]"

# A link that cannot be understood is there, and of no use.
_BROKEN = Link(access_token=Secret(""), expires_at_ns=0)


class NoToken(StrEnum):
    """Why there is no access token for a user at an MCP server, as gateways are told."""

    NO_SERVER = "no MCP config found"
    NO_LINK = "no external auth link found"
    EXPIRED = "expired or invalid OAuth2 token"
    UNREADABLE = "OAuth2 tokens cannot be read"


def token_for(
    server: McpServer | None, user_id: UUID, *, links: Links | None, now_ns: int
) -> Secret | NoToken:
    """Return a user's access token for an MCP server, or why there is none.

    A server that asks for no token has the empty one: a gateway leaves out
    servers that it got no token for.

    Args:
        server: None if there is no server of the id that was asked for.
        user_id: Whose token.
        links: All logins; None if they cannot be read.
        now_ns: The time.
    """
    if server is None:
        return NoToken.NO_SERVER
    if server.auth is None:
        return Secret("")
    if isinstance(server.auth, StaticAuth):
        return server.auth.token_of(user_id) or NoToken.NO_LINK
    if links is None:
        return NoToken.UNREADABLE
    return _current(links.get((server.id, user_id)), now_ns)


def _current(link: Link | None, now_ns: int) -> Secret | NoToken:
    if link is None:
        return NoToken.NO_LINK
    if link.expires_at_ns is not None and link.expires_at_ns <= now_ns + _LEEWAY_NS:
        return NoToken.EXPIRED
    return link.access_token


def read_links(path: Path) -> Links:
    """Read the file; an absent one has no links.

    Raises:
        StoreError: If it is there and cannot be read, others than its owner
            have access to it, or it is not of its form. No token is in the
            text. What is wrong with one link only spoils that link.
    """
    if not os.path.lexists(path):
        return {}
    try:
        content = read_regular(path, max_bytes=_MAX_BYTES)
        data = json.loads(content.data)
    except RecursionError:
        raise StoreError([f"{path.name}: not a JSON file: nested too deeply"]) from None
    except ValueError as error:
        what = "not a JSON file: " if isinstance(error, json.JSONDecodeError) else ""
        raise StoreError([f"{path.name}: {what}{error}"]) from None
    if content.exposure is not None:
        raise StoreError([f"{path.name}: {content.exposure}"])
    if not isinstance(data, dict):
        raise StoreError([f"{path.name}: not a JSON object"])
    return dict(_links(data))


def _links(data: dict[str, Any]) -> Iterator[tuple[tuple[str, UUID], Link]]:
    for server_id, users in data.items():
        for user, link in users.items() if isinstance(users, dict) else ():
            try:
                user_id = UUID(user)
            except ValueError:
                continue  # nobody has this id
            yield (server_id, user_id), _link(link)


def _link(data: object) -> Link:
    fields = data if isinstance(data, dict) else {}
    token, expires_at = fields.get("access_token"), fields.get("expires_at")
    if not isinstance(token, str) or not token or not token.isprintable():
        return _BROKEN
    if expires_at is None:
        return Link(access_token=Secret(token))
    try:
        instant = datetime.fromisoformat(expires_at)
        since = (instant - _EPOCH) // _MICROSECOND
    except (TypeError, ValueError):
        return _BROKEN
    return Link(access_token=Secret(token), expires_at_ns=since * 1000)
