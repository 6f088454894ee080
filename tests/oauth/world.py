"""A user's login at an MCP server, and the bridge's view of it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self
from uuid import UUID

from otelbridge.domain.access import Grant, McpServer, OAuth2Auth, Secret
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.tokens import AccessTokens
from otelbridge.store.token_file import TokenFile
from otelbridge.store.tokens import Link

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.oauth.answers import NoAccess
    from tests.oauth.authorization_server import Authority, AuthorizationServer

S = 1_000_000_000
NOW_NS = 1_798_761_600 * S  # 2027-01-01T00:00:00Z
ALICE = UUID("7f1c2f6e-1111-4c4b-9d5a-0a0b0c0d0e0f")
BOB = UUID("8a2d3f7e-2222-4c4b-9d5a-0a0b0c0d0e0f")


@dataclass(slots=True)
class Clock:
    """A clock that stands until it is set."""

    now_ns: int = NOW_NS

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * S)


class Said(logging.Handler):
    """Waits until a logger says something, in whatever thread."""

    def __init__(self, logger: str, words: str) -> None:
        super().__init__()
        self._logger, self._words = logging.getLogger(logger), words
        self._event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, timeout_s: float = 10.0) -> None:
        """Wait for it."""
        async with asyncio.timeout(timeout_s):
            await self._event.wait()

    def __enter__(self) -> Self:
        self._loop, self._level = asyncio.get_running_loop(), self._logger.level
        self._logger.addHandler(self)
        self._logger.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
        self._logger.removeHandler(self)


def mcp_server(authorization: AuthorizationServer, server_id: str = "github") -> McpServer:
    """Return an MCP server whose tokens come from an authorization server."""
    auth = OAuth2Auth(
        grant=Grant.REFRESH_TOKEN,
        client_id="bridge",
        token_url=authorization.url("/token"),
    )
    return McpServer(id=server_id, url="https://mcp.example.com/mcp", auth=auth)


def with_auth(server: McpServer, **fields: object) -> McpServer:
    """Return the server with other settings."""
    assert isinstance(server.auth, OAuth2Auth)
    return replace(server, auth=replace(server.auth, **fields))  # type: ignore[arg-type]  # by name


@dataclass(kw_only=True)
class World:
    """One process: an authorization server, ``tokens.json``, and `AccessTokens` over them."""

    path: Path
    authority: Authority
    authorization: AuthorizationServer
    timeout_s: float = 5.0
    http_timeout_s: float = 10.0
    clock: Clock = field(default_factory=Clock)
    server: McpServer = field(init=False)

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self.server = mcp_server(self.authorization)
        self.file = TokenFile(self.path)
        self.tokens = self.another()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def another(self, *, timeout_s: float | None = None) -> AccessTokens:
        """Return what another process would use; it is closed with this one."""
        http = OAuthHttp(timeout_s=self.http_timeout_s, context=self.authority.client)
        tokens = AccessTokens(
            TokenFile(self.path),
            http,
            timeout_s=timeout_s or self.timeout_s,
            clock_ns=self.clock,
        )
        self._stack.push_async_callback(tokens.close, 0)
        return tokens

    def log_in(
        self, user: UUID = ALICE, *, left_s: float | None = 0.0, server_id: str = "github"
    ) -> Link:
        """Store a login whose access token ends in ``left_s``; by default it has ended."""
        access, refresh = self.authorization.validator.issue(str(user), "repo")
        link = Link(
            access_token=Secret(access),
            refresh_token=Secret(refresh),
            expires_at_ns=None if left_s is None else self.clock() + int(left_s * S),
            scopes=("repo",),
        )
        self.file.update(server_id, user, lambda _: link)
        return link

    def link(self, user: UUID = ALICE, server_id: str = "github") -> Link:
        """Return the link as it is in the file."""
        return TokenFile(self.path).read()[server_id, user]

    async def acquire(self, user: UUID = ALICE) -> Secret | NoAccess:
        """Ask for a user's token."""
        return await self.tokens.acquire(self.server, user)

    def is_good(self, token: Secret | NoAccess) -> bool:
        """Return whether the authorization server issued this access token."""
        known = self.authorization.validator.access_tokens
        return isinstance(token, Secret) and token.reveal() in known
