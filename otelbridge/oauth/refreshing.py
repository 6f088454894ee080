"""Getting new access tokens: one request at a time for a link, whoever wants it.

What is killed in between loses no login that can be kept: that a refresh
began is on disk before the request, and its answer before anybody is told.

Source: RFC 6749 (sections 4.4 and 6), RFC 8707 (section 2.2).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.access import Grant
from otelbridge.errors import OAuthError, StoreError
from otelbridge.oauth.answers import NoAccess, refusal, standing
from otelbridge.oauth.backoff import Backoff
from otelbridge.oauth.grants import request_token
from otelbridge.oauth.known_endpoints import KnownEndpoints
from otelbridge.oauth.marks import broken_by
from otelbridge.oauth.urls import resource_identifier
from otelbridge.store.tokens import NoToken

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from uuid import UUID

    from otelbridge.domain.access import McpServer, OAuth2Auth, Secret
    from otelbridge.oauth.discovery import Metadata
    from otelbridge.oauth.http import OAuthHttp
    from otelbridge.store.token_file import TokenFile
    from otelbridge.store.tokens import Broken, Link

logger = logging.getLogger(__name__)

# At most as many requests at a time to one server's token endpoint. Others
# wait; no other server does.
_AT_A_TIME = 16
# Another process may discover, wait its turn and refresh, with 30 s for each.
_OTHER_PROCESS_S = 90.0
# What was got and cannot be stored is tried again until it is.
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 5.0
#: Failures of the endpoint, not of one user's link; 0 is no answer at all.
_GENERAL = frozenset(
    {
        0,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class Wanted(NamedTuple):
    """A token that is wanted.

    Attributes:
        server: For which MCP server.
        auth: How its tokens are got.
        owner: Whose link.
        link: The link as it was read; it may have changed since.
        is_refused: Whether its access token was tried and is invalid.
    """

    server: McpServer
    auth: OAuth2Auth
    owner: UUID
    link: Link | None
    is_refused: bool = False

    def standing(self, link: Link | None, now_ns: int) -> Secret | NoAccess | None:
        """Return what the link is good for; None if it must be refreshed."""
        refused = self.link if self.is_refused else None
        return standing(link, self.auth, now_ns=now_ns, refused=refused)

    @property
    def is_for_all(self) -> bool:
        """Return whether all users share the token: there is no login."""
        return self.auth.grant is Grant.CLIENT_CREDENTIALS

    def pauses(self) -> tuple[Hashable, Hashable]:
        """Return under which names failures of the endpoint, and of this link, are kept."""
        endpoint = (self.server.id, self.auth)
        return endpoint, (*endpoint, self.owner, self.link and self.link.refresh_token)


class _Begun(NamedTuple):
    """The link right before a request, of which there is none if there is an answer already.

    Attributes:
        link: As it is in the file.
        answer: What it is good for without a refresh.
        is_retry: Whether an earlier refresh of it began, and what came of it
            was never stored.
    """

    link: Link | None
    answer: Secret | NoAccess | None
    is_retry: bool


class Refresher:
    """Gets new access tokens and stores them.

    Args:
        file: Where links are kept.
        http: What token endpoints are asked with.
        clock_ns: The time.
    """

    def __init__(self, file: TokenFile, http: OAuthHttp, *, clock_ns: Callable[[], int]) -> None:
        self._file = file
        self._http = http
        self._clock_ns = clock_ns
        self._endpoints = KnownEndpoints(http, clock_ns=clock_ns)
        self._gates: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_AT_A_TIME)
        )
        self._backoff = Backoff()
        # A process that hangs with the file's lock blocks this thread, not the
        # ones in which files are read.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="tokens")

    def close(self) -> None:
        """End the thread that writes, without waiting for it."""
        self._writer.shutdown(wait=False)

    async def fresh(self, wanted: Wanted) -> Secret | NoAccess:
        """Return a new access token, or why there will be none.

        It is on disk when this returns. To cancel this is to lose it: nobody
        who waits for it for a limited time should.

        Raises:
            OAuthError: If the authorization server cannot say at the moment.
            StoreError: If links cannot be read or written at the moment.
        """
        self._check_pauses(wanted)
        metadata = await self._endpoints_of(wanted)
        owner = wanted.server.id, wanted.owner
        async with self._file.refreshing(*owner, timeout_s=_OTHER_PROCESS_S):
            async with self._gates[wanted.server.id]:
                # Who waited behind requests that failed does not pile on.
                self._check_pauses(wanted)
                link, answer, is_retry = await self._begin(wanted)
                if answer is not None:
                    return answer  # another process was faster, or somebody logged in or out
                try:
                    new = await self._request(wanted, metadata, link)
                except OAuthError as error:
                    return await self._failed(wanted, link, error, is_retry=is_retry)
            stored = await self._store(wanted, link, new)
        self._worked(wanted)
        if new.is_same_login(stored):
            return new.access_token
        return wanted.standing(stored, self._clock_ns()) or NoAccess.of(NoToken.EXPIRED)

    def _check_pauses(self, wanted: Wanted) -> None:
        for key in wanted.pauses():
            error = self._backoff.error(key, now_ns=self._clock_ns())
            if error is not None:
                raise OAuthError(str(error))

    async def _endpoints_of(self, wanted: Wanted) -> Metadata:
        try:
            return await self._endpoints.of(wanted.server, wanted.auth)
        except OAuthError as error:
            self._pause(wanted, error)
            raise

    async def _begin(self, wanted: Wanted) -> _Begun:
        """Look at the link once more; if it must be refreshed, that this began is on disk."""
        now_ns, is_retry = self._clock_ns(), False
        if wanted.is_for_all:  # no refresh token can be used up
            links = await asyncio.to_thread(self._file.read)
            link = links.get((wanted.server.id, wanted.owner))
            return _Begun(link, wanted.standing(link, now_ns), is_retry)

        def begun(link: Link | None) -> Link | None:
            nonlocal is_retry
            if link is None or wanted.standing(link, now_ns) is not None:
                return link
            is_retry = link.refresh_began_ns is not None
            return link if is_retry else replace(link, refresh_began_ns=now_ns)

        link = await self._update(wanted, begun)
        return _Begun(link, wanted.standing(link, now_ns), is_retry)

    async def _request(self, wanted: Wanted, metadata: Metadata, link: Link | None) -> Link:
        auth, form = wanted.auth, {"grant_type": wanted.auth.grant.value}
        if wanted.is_for_all:
            form["resource"] = resource_identifier(wanted.server.url)
            if auth.scopes:
                form["scope"] = " ".join(auth.scopes)
        elif link is not None and link.refresh_token is not None:
            # No scope and no resource: what the login asked for.
            form["refresh_token"] = link.refresh_token.reveal()
        now_ns = self._clock_ns()
        return await request_token(self._http, metadata, auth, form, now_ns=now_ns, old=link)

    async def _store(self, wanted: Wanted, used: Link | None, new: Link) -> Link | None:
        """Put the new tokens in the place of the used ones, however long it takes."""

        def change(link: Link | None) -> Link | None:
            # Somebody may have logged in or out in the meantime: that stands.
            is_used = wanted.is_for_all or (used is not None and used.is_same_login(link))
            return new if is_used else link

        delay_s = 0.0
        while True:
            try:
                # Who cuts this off still has written what waits in the thread's queue.
                return await asyncio.shield(self._update(wanted, change))
            except StoreError as error:
                if not delay_s:
                    logger.error(
                        "MCP server %s: new tokens cannot be stored, trying until they can: %s",
                        wanted.server.id,
                        error,
                    )
            delay_s = min(max(2 * delay_s, _FIRST_RETRY_S), _LONGEST_RETRY_S)
            await asyncio.sleep(delay_s)

    async def _failed(
        self, wanted: Wanted, link: Link | None, error: OAuthError, *, is_retry: bool
    ) -> NoAccess:
        """Return why there will be no token; raise the error if there may be one later."""
        is_answered = HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        is_refused = error.is_permanent and error.status and not wanted.is_for_all
        if link is not None and is_refused:
            return await self._refused(wanted, link, error, is_retry=is_retry)
        self._pause(wanted, error)
        if link is not None and is_answered:  # the refresh token was not used up
            await self._mark(wanted, link)
        raise error

    async def _refused(
        self, wanted: Wanted, link: Link, error: OAuthError, *, is_retry: bool
    ) -> NoAccess:
        broken = broken_by(error, wanted.auth, now_ns=self._clock_ns(), was_interrupted=is_retry)
        self._worked(wanted)
        await self._mark(wanted, link, broken)
        logger.warning(
            "MCP server %s: the login of user %s is broken: %s",
            wanted.server.id,
            wanted.owner,
            broken.reason,
        )
        return refusal(broken)

    async def _mark(self, wanted: Wanted, marked: Link, broken: Broken | None = None) -> None:
        """Store that the answer came; and what is wrong with the link, if anything is."""

        def change(link: Link | None) -> Link | None:
            if link is None or not link.is_same_login(marked):
                return link
            return replace(link, refresh_began_ns=None, broken=broken or link.broken)

        await self._update(wanted, change)

    def _update(
        self, wanted: Wanted, change: Callable[[Link | None], Link | None]
    ) -> asyncio.Future[Link | None]:
        update = partial(self._file.update, wanted.server.id, wanted.owner, change)
        return asyncio.get_running_loop().run_in_executor(self._writer, update)

    def _pause(self, wanted: Wanted, error: OAuthError) -> None:
        endpoint, own = wanted.pauses()
        key = endpoint if error.status in _GENERAL else own
        if self._backoff.failed(key, error, now_ns=self._clock_ns()):
            logger.warning("MCP server %s: no token: %s", wanted.server.id, error)

    def _worked(self, wanted: Wanted) -> None:
        endpoint, own = wanted.pauses()
        if self._backoff.worked(endpoint) | self._backoff.worked(own):
            logger.info("MCP server %s: its authorization server answers again", wanted.server.id)
