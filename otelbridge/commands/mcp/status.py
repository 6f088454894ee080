"""How users' tokens stand: which work, until when, and what is wrong with the others."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.commands.mcp.files import unset_variable
from otelbridge.commands.mcp.servers import auth_of
from otelbridge.commands.mcp.times import instant
from otelbridge.domain.access import Grant, OAuth2Auth, StaticAuth
from otelbridge.oauth.marks import active_mark
from otelbridge.store.tokens import ALL_USERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID

    from otelbridge.commands.listing import Item
    from otelbridge.domain.access import McpServer, Secret, Snapshot, User
    from otelbridge.store.tokens import Broken, Link, Links

_PENDING = "a refresh began and its answer was not stored: it is tried once more"
_UNREADABLE = "the entry in tokens.json cannot be understood: log in again"


class State(StrEnum):
    """How a token stands; the values are stable, scripts read them."""

    FIXED = "fixed"
    VALID = "valid"
    REFRESH_DUE = "refresh due"
    REFRESH_PENDING = "refresh pending"
    REFUSED = "refused"
    EXPIRED = "expired"
    BROKEN = "broken"
    NO_LOGIN = "no login"
    UNUSED = "unused"


_WORKING = frozenset({State.FIXED, State.VALID, State.REFRESH_DUE, State.REFRESH_PENDING})


class Standing(NamedTuple):
    """How one token stands.

    Attributes:
        server: The MCP server's id.
        user: A user's name, or id if nobody has it; None for everybody.
        state: How it stands.
        expires_at_ns: When the access token ends; None if nobody said.
        since_ns: Since when it is broken or pending.
        problem: What is wrong; empty if nothing is.
        trial: Where the access token can be tried, and the token.
        can_refresh: Whether a new access token can be got.
    """

    server: str
    user: str | None
    state: State
    expires_at_ns: int | None = None
    since_ns: int | None = None
    problem: str = ""
    trial: tuple[str, Secret] | None = None
    can_refresh: bool = False

    @property
    def works(self) -> bool:
        """Return whether a gateway that asks is given a token, as far as can be told."""
        return self.state in _WORKING or (self.state is State.REFUSED and self.can_refresh)

    def refused(self, status: int) -> Standing:
        """Return how it stands after its access token was tried and refused."""
        rest = "it is refreshed when it is needed" if self.can_refresh else "log in again"
        problem = f"validate_url answers {status}: {rest}"
        return self._replace(state=State.REFUSED, problem=problem)

    def cells(self) -> Item:
        """Return the row of a table; no token is in it."""
        problem = self.problem
        if self.since_ns is not None:
            problem = f"since {instant(self.since_ns)}: {problem}"
        nobody = None if self.state is State.NO_LOGIN else "(everybody)"
        return {
            "server": self.server,
            "user": self.user or nobody,
            "state": self.state.value,
            "expires": None if self.expires_at_ns is None else instant(self.expires_at_ns),
            "problem": problem or None,
        }

    def item(self) -> Item:
        """Return what a script reads; no token is in it."""
        return {
            "server": self.server,
            "user": self.user,
            "state": self.state.value,
            "works": self.works,
            "expires_at": None if self.expires_at_ns is None else instant(self.expires_at_ns),
            "since": None if self.since_ns is None else instant(self.since_ns),
            "problem": self.problem or None,
        }


def standings(snapshot: Snapshot, links: Links, *, now_ns: int) -> Iterator[Standing]:
    """Yield how every token stands: those of each server, then links that nothing uses."""
    by_server: dict[str, dict[UUID, Link]] = {}
    for (server_id, owner), link in links.items():
        by_server.setdefault(server_id, {})[owner] = link
    for server in snapshot.mcp_servers.values():
        own = by_server.pop(server.id, {})
        yield from _of_server(server, own, snapshot.users, now_ns)
    for server_id, others in by_server.items():
        for owner in others:
            problem = "no MCP server has this id"
            yield _unused(server_id, owner, snapshot.users, problem)


def _of_server(
    server: McpServer, links: Mapping[UUID, Link], users: Mapping[UUID, User], now_ns: int
) -> Iterator[Standing]:
    auth = server.auth
    if not isinstance(auth, OAuth2Auth):
        yield from _fixed(server, auth, users)
        for owner in links:
            problem = f"auth of this server is {auth_of(server)}"
            yield _unused(server.id, owner, users, problem)
        return
    is_for_all = auth.grant is Grant.CLIENT_CREDENTIALS
    used = {ALL_USERS} if is_for_all else users.keys()
    if not links.keys() & used:
        yield _without(server, is_for_all=is_for_all)
    for owner, link in links.items():
        if owner in used:
            yield _of_link(server.id, _name(owner, users), link, auth, now_ns)
        else:
            is_known = owner in users or owner == ALL_USERS
            problem = f"auth of this server is {auth_of(server)}" if is_known else "no such user"
            yield _unused(server.id, owner, users, problem)


def _fixed(
    server: McpServer, auth: StaticAuth | None, users: Mapping[UUID, User]
) -> Iterator[Standing]:
    if auth is None or auth.token is not None:
        variable = unset_variable(auth.token) if auth else ""
        yield Standing(server.id, None, State.FIXED, problem=_not_here(variable))
    for owner, token in (auth.tokens if auth else {}).items():
        problem = _not_here(unset_variable(token))
        yield Standing(server.id, _name(owner, users), State.FIXED, problem=problem)


def _without(server: McpServer, *, is_for_all: bool) -> Standing:
    if is_for_all:
        return Standing(server.id, None, State.REFRESH_DUE, problem="not asked for yet")
    return Standing(server.id, None, State.NO_LOGIN, problem="nobody has logged in")


def _of_link(
    server_id: str, user: str | None, link: Link, auth: OAuth2Auth, now_ns: int
) -> Standing:
    can_refresh = auth.grant is Grant.CLIENT_CREDENTIALS or link.refresh_token is not None
    base = Standing(
        server_id, user, State.VALID, expires_at_ns=link.expires_at_ns, can_refresh=can_refresh
    )
    mark = _mark(link, auth)
    if mark is not None:
        return base._replace(state=State.BROKEN, problem=mark.reason, since_ns=mark.since_ns)
    if can_refresh and link.refresh_began_ns is not None:
        base = base._replace(
            state=State.REFRESH_PENDING, problem=_PENDING, since_ns=link.refresh_began_ns
        )
    elif can_refresh:
        base = base._replace(state=State.REFRESH_DUE)
    if not link.is_expired(now_ns):
        trial = (auth.validate_url, link.access_token) if auth.validate_url else None
        return base._replace(state=State.VALID, trial=trial)
    if can_refresh:
        return base
    if not link.access_token.reveal():
        return base._replace(state=State.BROKEN, expires_at_ns=None, problem=_UNREADABLE)
    return base._replace(state=State.EXPIRED, problem="there is no refresh token: log in again")


def _mark(link: Link, auth: OAuth2Auth) -> Broken | None:
    """Return why a link is of no use. A secret that is not here may be another one by now."""
    return link.broken if unset_variable(auth.client_secret) else active_mark(link, auth)


def _unused(server_id: str, owner: UUID, users: Mapping[UUID, User], problem: str) -> Standing:
    return Standing(server_id, _name(owner, users), State.UNUSED, problem=problem)


def _name(owner: UUID, users: Mapping[UUID, User]) -> str | None:
    if owner == ALL_USERS:
        return None
    return users[owner].name if owner in users else str(owner)


def _not_here(variable: str) -> str:
    return f'environment variable "{variable}" is not set in this shell' if variable else ""
