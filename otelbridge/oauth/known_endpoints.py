"""The endpoints of authorization servers, discovered once for all users."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otelbridge.errors import OAuthError
from otelbridge.oauth.endpoints import endpoints_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from otelbridge.domain.access import McpServer, OAuth2Auth
    from otelbridge.oauth.discovery import Metadata
    from otelbridge.oauth.http import OAuthHttp

_NS = 1_000_000_000
_KNOWN_NS = 3600 * _NS
# Long enough not to hammer a server, short enough not to be waited for.
_FAILED_NS = 10 * _NS


class KnownEndpoints:
    """Discovers endpoints and remembers them for an hour, failures for 10 s.

    Args:
        http: What to ask with.
        clock_ns: The time.
    """

    def __init__(self, http: OAuthHttp, *, clock_ns: Callable[[], int]) -> None:
        self._http = http
        self._clock_ns = clock_ns
        self._found: dict[Hashable, tuple[int, Metadata | OAuthError]] = {}
        self._turns: dict[Hashable, asyncio.Lock] = {}

    async def of(self, server: McpServer, auth: OAuth2Auth) -> Metadata:
        """Return the endpoints for an MCP server.

        Raises:
            OAuthError: If the token endpoint is not set and cannot be
                discovered. The login is not to blame: it is not permanent.
        """
        key = (server.url, auth)
        # Who comes while another one asks waits for the same answer.
        async with self._turns.setdefault(key, asyncio.Lock()):
            until_ns, found = self._found.get(key, (0, None))
            if found is None or until_ns <= self._clock_ns():
                found = await self._discovered(server, auth)
                life_ns = _FAILED_NS if isinstance(found, OAuthError) else _KNOWN_NS
                self._found[key] = self._clock_ns() + life_ns, found
        if isinstance(found, OAuthError):
            raise OAuthError(str(found), retry_after_s=found.retry_after_s)
        return found

    async def _discovered(self, server: McpServer, auth: OAuth2Auth) -> Metadata | OAuthError:
        try:
            return await endpoints_of(self._http, auth, resource=server.url)
        except OAuthError as error:
            return error
