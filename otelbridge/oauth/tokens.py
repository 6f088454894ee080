"""Access tokens for MCP servers, each within its time limit whatever the servers do."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

from otelbridge.domain.access import Grant, Secret, StaticAuth
from otelbridge.errors import OAuthError, StoreError
from otelbridge.oauth.answers import NoAccess, standing
from otelbridge.oauth.refreshing import Refresher, Wanted
from otelbridge.oauth.validation import is_valid
from otelbridge.store.tokens import ALL_USERS, NoToken

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from uuid import UUID

    from otelbridge.domain.access import McpServer, OAuth2Auth
    from otelbridge.oauth.http import OAuthHttp
    from otelbridge.store.token_file import TokenFile
    from otelbridge.store.tokens import Link

    Answer: TypeAlias = Secret | NoAccess

logger = logging.getLogger(__name__)

# A token may be tried for half of the time: what is left is for handing it
# out if the server hangs, or for refreshing it.
_TRYING = 0.5
# A validate_url that refuses every token must not use up refresh tokens with each call.
_RENEWAL_NS = 60_000_000_000
_UNREADABLE = NoAccess.of(NoToken.UNREADABLE)
_UNSTORED = NoAccess("unreadable", "OAuth2 tokens cannot be stored")
# At most as many tokens at a time are tried at one server.
_AT_A_TIME = 16


class AccessTokens:
    """Answers with users' access tokens; refreshes them when they have ended.

    All methods are for the event loop's thread.

    Args:
        file: The users' links.
        http: What authorization servers are asked with; closed with this.
            Its time limit is that of a refresh, which outlives who waits.
        timeout_s: Time limit of one answer, in seconds.
        clock_ns: The time, which must not jump.
    """

    def __init__(
        self,
        file: TokenFile,
        http: OAuthHttp,
        *,
        timeout_s: float,
        clock_ns: Callable[[], int],
    ) -> None:
        self._file = file
        self._http = http
        self._timeout_s = timeout_s
        self._clock_ns = clock_ns
        self._refresher = Refresher(file, http, clock_ns=clock_ns)
        self._gates: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_AT_A_TIME)
        )
        # What is under way, so that all who want a token wait for the same.
        self._flights: dict[Hashable, asyncio.Task[Answer]] = {}
        self._problems: dict[NoAccess, str] = {}
        # When tokens were renewed because the old ones were refused, by server and user.
        self._renewed: dict[tuple[str, UUID], int] = {}

    async def acquire(self, server: McpServer | None, user_id: UUID) -> Answer:
        """Return a user's access token for an MCP server, or why there is none.

        A server that asks for no token has the empty one: a gateway leaves
        out servers that it got no token for. A refresh that outlives the time
        limit goes on: the next who asks has its result.

        Args:
            server: From the current snapshot; None if there is none of the id
                that was asked for.
            user_id: Whose token.
        """
        if server is None:
            return NoAccess.of(NoToken.NO_SERVER)
        if server.auth is None:
            return Secret("")
        if isinstance(server.auth, StaticAuth):
            return server.auth.token_of(user_id) or NoAccess.of(NoToken.NO_LINK)
        owner = ALL_USERS if server.auth.grant is Grant.CLIENT_CREDENTIALS else user_id
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._of_link(server, server.auth, owner)
        except TimeoutError:
            return NoAccess("timeout", f"timed out after {self._timeout_s:g} s")
        except Exception as error:  # noqa: BLE001  # an edge: a bug fails one id, not all
            return _unexpected(error)

    async def close(self, drain_s: float) -> None:
        """Wait for refreshes under way, then cut them.

        Args:
            drain_s: How long to wait, in seconds.
        """
        flights = list(self._flights.values())
        if flights:
            _, cut = await asyncio.wait(flights, timeout=drain_s)
            for flight in cut:
                flight.cancel()
            await asyncio.gather(*cut, return_exceptions=True)
            if cut:
                logger.warning("%d refreshes of MCP tokens were cut", len(cut))
        self._refresher.close()
        await self._http.close()

    async def _of_link(self, server: McpServer, auth: OAuth2Auth, owner: UUID) -> Answer:
        try:
            links = await asyncio.to_thread(self._file.read)
        except StoreError as error:
            return self._told(_UNREADABLE, error)
        self._problems.pop(_UNREADABLE, None)
        link = links.get((server.id, owner))
        answer = standing(link, auth, now_ns=self._clock_ns())
        if isinstance(answer, NoAccess) or (answer is not None and not auth.validate_url):
            return answer
        return await asyncio.shield(self._flight(Wanted(server, auth, owner, link)))

    def _flight(self, wanted: Wanted) -> asyncio.Task[Answer]:
        """Return what is under way for these tokens; who logs in anew need not wait for it."""
        login = wanted.link and (wanted.link.access_token, wanted.link.refresh_token)
        key = (wanted.server, wanted.owner, login)
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fly(wanted))
            self._flights[key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(key))
        return flight

    async def _fly(self, wanted: Wanted) -> Answer:
        try:
            return await self._tried_or_fresh(wanted)
        except Exception as error:  # noqa: BLE001  # the task's edge: nobody may be left to see it
            return _unexpected(error)

    async def _tried_or_fresh(self, wanted: Wanted) -> Answer:
        link = wanted.link
        if link is not None and not link.is_expired(self._clock_ns()):
            if await self._is_valid(wanted, link):
                return link.access_token
            if self._was_just_renewed(wanted):
                return NoAccess.of(NoToken.EXPIRED)
            wanted = wanted._replace(is_refused=True)
        try:
            answer = await self._refresher.fresh(wanted)
        except OAuthError as error:
            return self._fallback(wanted) or NoAccess("failed", str(error))
        except StoreError as error:
            reason = self._told(_UNSTORED, error)
            return self._fallback(wanted) or reason
        self._problems.pop(_UNSTORED, None)
        if wanted.is_refused and isinstance(answer, Secret):
            self._renewed[wanted.server.id, wanted.owner] = self._clock_ns()
        return answer

    def _was_just_renewed(self, wanted: Wanted) -> bool:
        """Return whether a refused token was replaced lately: another one would be refused too."""
        since_ns = self._clock_ns() - _RENEWAL_NS
        for key in [key for key, at_ns in self._renewed.items() if at_ns <= since_ns]:
            del self._renewed[key]
        return (wanted.server.id, wanted.owner) in self._renewed

    async def _is_valid(self, wanted: Wanted, link: Link) -> bool:
        return await is_valid(
            self._http,
            wanted.auth.validate_url,
            link.access_token,
            gate=self._gates[wanted.server.id],
            timeout_s=self._timeout_s * _TRYING,
        )

    def _fallback(self, wanted: Wanted) -> Secret | None:
        """Return the old token while it has not ended."""
        link = wanted.link
        if link is None or wanted.is_refused or link.is_expired(self._clock_ns(), leeway_ns=0):
            return None
        return link.access_token

    def _told(self, reason: NoAccess, error: StoreError) -> NoAccess:
        # Gateways ask often: the same problem is told once.
        if self._problems.get(reason) != str(error):
            logger.warning("%s: %s", reason.text, error)
        self._problems[reason] = str(error)
        return reason


def _unexpected(error: Exception) -> NoAccess:
    # A message may hold anything; where it happened holds no secret.
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("MCP token: %s\n%s", type(error).__name__, frames)
    return NoAccess("failed", "internal error")
