"""Tokens that change by themselves: the entries of ``tokens.json``, read and written.

``{"<server>": {"<user id>": {"access_token", "refresh_token", "expires_at", "scopes"}}}``;
times are RFC 3339. A link may also hold ``refresh_began_at`` and ``broken``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from otelbridge.domain.access import Secret
from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Whose link a token is that all users share (grant client_credentials). No
#: user of the store has the nil UUID.
ALL_USERS = UUID(int=0)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC)
# A token this close to its end may expire on its way to the MCP server.
_LEEWAY_NS = 30_000_000_000
#: Characters of a reason.
MAX_REASON = 400
#: What this version writes; other keys of a link are kept.
_KEYS = ("access_token", "refresh_token", "expires_at", "scopes", "refresh_began_at", "broken")


class NoToken(StrEnum):
    """Why there is no access token for a user at an MCP server, as gateways are told."""

    NO_SERVER = "no MCP config found"
    NO_LINK = "no external auth link found"
    EXPIRED = "expired or invalid OAuth2 token"
    UNREADABLE = "OAuth2 tokens cannot be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Why a link is of no use until the next login.

    Attributes:
        reason: For people, at most 400 characters; no secret is in it.
        since_ns: When that was found.
        settings: Which settings were refused, see
            `otelbridge.oauth.marks.fingerprint`: with others the link is
            tried again. Empty if the login itself was refused.
    """

    reason: str
    since_ns: int
    settings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A user's login at an MCP server.

    Attributes:
        access_token: What the server is sent; empty if there is none of use.
        expires_at_ns: When it ends; None if the authorization server did not say.
        refresh_token: What the next access token is got with; None if there is none.
        scopes: What the access token is good for; empty if that was not said.
        refresh_began_ns: When the refresh token was sent to an authorization
            server whose answer was not stored yet; None if all were. The
            server may have replaced the refresh token.
        broken: Set if the link is of no use until the next login.
    """

    access_token: Secret
    expires_at_ns: int | None = None
    refresh_token: Secret | None = None
    scopes: tuple[str, ...] = ()
    refresh_began_ns: int | None = None
    broken: Broken | None = None

    def is_expired(self, now_ns: int, *, leeway_ns: int = _LEEWAY_NS) -> bool:
        """Return whether the access token has ended, or will within ``leeway_ns``."""
        return self.expires_at_ns is not None and self.expires_at_ns <= now_ns + leeway_ns

    def is_same_login(self, other: Link | None) -> bool:
        """Return whether both hold the same tokens; marks make no difference."""
        return (
            other is not None
            and self.access_token == other.access_token
            and self.refresh_token == other.refresh_token
        )


#: Logins by MCP server id and user.
Links: TypeAlias = "Mapping[tuple[str, UUID], Link]"


def parse_document(data: bytes) -> dict[str, Any]:
    """Return the JSON object in the file.

    Raises:
        ValueError: If it holds none; nothing of the file is in the text.
    """
    try:
        document = json.loads(data)
    except RecursionError:
        raise ValueError("not a JSON file: nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not a JSON file: {error}") from None
    except ValueError as error:  # no text, or a number of too many digits
        raise ValueError(f"not a JSON file: {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # the value is wrong, not a type
    return document


def links_of(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, UUID], Link]]:
    """Yield every link. What is wrong with one only spoils that one."""
    for server_id, users in document.items():
        for user, link in users.items() if isinstance(users, dict) else ():
            user_id = _user_id(user)
            if user_id is not None:  # else it is nobody's
                yield (server_id, user_id), _link(link)


def put_link(document: dict[str, Any], server_id: str, user_id: UUID, link: Link | None) -> None:
    """Replace a link in the JSON object; None removes it. Keys that are not known are kept."""
    users = document.get(server_id)
    users = users if isinstance(users, dict) else {}
    old: dict[str, Any] = {}
    for key in [user for user in users if _user_id(user) == user_id]:
        found = users.pop(key)
        old |= found if isinstance(found, dict) else {}
    if link is not None:
        unknown = {key: value for key, value in old.items() if key not in _KEYS}
        users[str(user_id)] = {**_fields(link), **unknown}
    if users:
        document[server_id] = users
    else:
        document.pop(server_id, None)


def find_link(document: Mapping[str, Any], server_id: str, user_id: UUID) -> Link | None:
    """Return one link; None if there is none."""
    users = {server_id: document.get(server_id)}
    return dict(links_of(users)).get((server_id, user_id))


def _user_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _link(data: object) -> Link:
    fields = data if isinstance(data, dict) else {}
    access_token, expires_at = _secret(fields.get("access_token")), fields.get("expires_at")
    expires_at_ns = _instant_ns(expires_at)
    if access_token is None or (expires_at is not None and expires_at_ns is None):
        # It cannot be understood: it is there, and its access token of no use.
        access_token, expires_at_ns = Secret(""), 0
    scopes = fields.get("scopes")
    return Link(
        access_token=access_token,
        expires_at_ns=expires_at_ns,
        refresh_token=_secret(fields.get("refresh_token")),
        scopes=tuple(s for s in scopes if isinstance(s, str)) if isinstance(scopes, list) else (),
        refresh_began_ns=_instant_ns(fields.get("refresh_began_at")),
        broken=_broken(fields.get("broken")),
    )


def _secret(value: object) -> Secret | None:
    return Secret(value) if isinstance(value, str) and value and value.isprintable() else None


def _broken(value: object) -> Broken | None:
    if not isinstance(value, dict):
        return None
    reason, settings = value.get("reason"), value.get("settings")
    return Broken(
        reason=escaped(reason, MAX_REASON) if isinstance(reason, str) else "",
        since_ns=_instant_ns(value.get("since")) or 0,
        settings=settings if isinstance(settings, str) else "",
    )


def _instant_ns(value: object) -> int | None:
    try:
        instant = datetime.fromisoformat(value)  # type: ignore[arg-type]  # TypeError is caught
        return (instant - _EPOCH) // _MICROSECOND * 1000
    except (TypeError, ValueError):
        return None


def _fields(link: Link) -> dict[str, object]:
    refresh_token, broken = link.refresh_token, link.broken
    fields: dict[str, object] = {
        "access_token": link.access_token.reveal(),
        "refresh_token": refresh_token and refresh_token.reveal(),
        "expires_at": _instant(link.expires_at_ns),
        "scopes": list(link.scopes),
        "refresh_began_at": _instant(link.refresh_began_ns),
        "broken": broken and _broken_fields(broken),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _broken_fields(broken: Broken) -> dict[str, object]:
    fields: dict[str, object] = {"reason": broken.reason, "since": _instant(broken.since_ns)}
    return {**fields, "settings": broken.settings} if broken.settings else fields


def _instant(at_ns: int | None) -> str | None:
    if at_ns is None:
        return None
    try:
        instant = _EPOCH + timedelta(microseconds=at_ns // 1000)
    except OverflowError:
        instant = _LAST  # as good as never
    return instant.isoformat().replace("+00:00", "Z")
