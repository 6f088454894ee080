"""All sessions of gateways: who is connected, until when."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.rate_limit import RateLimit
from otelbridge.protocols import yamux
from otelbridge.telemetry.instruments import GATEWAY_ERRORS
from otelbridge.transports.gateway.endpoint import PATH, Refusal, not_ready
from otelbridge.transports.gateway.session import GatewaySession

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from otelbridge.servicers.methods import Count
    from otelbridge.transports.gateway.calls import Dispatcher
    from otelbridge.transports.gateway.connection import GatewayConnection
    from otelbridge.transports.gateway.endpoint import Endpoint, Visitor

logger = logging.getLogger(__name__)

#: Sessions at one time; an organisation has tens of gateways.
MAX_SESSIONS = 1024
#: Those of one gateway: replicas share a key, and must leave room for other gateways.
MAX_SESSIONS_OF_ONE = MAX_SESSIONS // 2
# How often it is looked whether a gateway's key was revoked, and for streams that wait too long.
_CHECK_S = 1.0
# What was read when the time is up is still answered, but not for longer than this.
_LAST_ANSWERS_S = 1.0
# Lines in the log about one gateway: one that dials all the time must not fill the disk.
_LINES_PER_S = 1.0
_LINES_AT_ONCE = 20
_STOPPING = "the bridge is stopping"


class Connected(NamedTuple):
    """A gateway that is connected.

    Attributes:
        name: Its name in the store.
        version: The version of the API that it speaks.
        build: Its build, as it says.
        peer: Its address.
        since_ns: Since when, as nanoseconds since the Unix epoch.
        streams: Open streams.
        calls: Calls it has made.
    """

    name: str
    version: str
    build: str
    peer: str
    since_ns: int
    streams: int
    calls: int


class _Open(NamedTuple):
    session: GatewaySession
    connection: GatewayConnection
    since_ns: int


class Gateways:
    """Admits gateways, and ends their sessions.

    Args:
        endpoint: Decides who may open a session.
        dispatcher: Answers calls.
        clock_ns: The bridge's clock.
        count: Counts protocol errors.
        limits: What a gateway may do in a session.
        max_sessions: Sessions at one time.
        max_sessions_of_one: Those of one gateway.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dispatcher: Dispatcher,
        *,
        clock_ns: Callable[[], int],
        count: Count,
        limits: yamux.Limits | None = None,
        max_sessions: int = MAX_SESSIONS,
        max_sessions_of_one: int = MAX_SESSIONS_OF_ONE,
    ) -> None:
        self._endpoint = endpoint
        self._dispatcher = dispatcher
        self._clock_ns = clock_ns
        self._count = count
        self._limits = limits or yamux.Limits()
        self._max_sessions = max_sessions
        self._max_sessions_of_one = max_sessions_of_one
        self._open: dict[GatewaySession, _Open] = {}
        # Connections that live on until what was written to them has been read.
        self._connections: set[GatewayConnection] = set()
        self._newer: set[str] = set()
        self._lines = RateLimit(per_s=_LINES_PER_S, burst=_LINES_AT_ONCE)
        self._draining = False
        self._changed = asyncio.Event()
        self._checking: asyncio.TimerHandle | None = None

    def connected(self) -> list[Connected]:
        """Return who is connected."""
        return [
            Connected(
                each.session.visitor.name,
                each.session.visitor.version,
                each.session.visitor.build,
                each.connection.peer,
                each.since_ns,
                each.session.streams,
                each.session.calls,
            )
            for each in self._open.values()
        ]

    def admit(
        self, path: str, query: str, headers: Mapping[str, str], *, peer: str
    ) -> Visitor | Refusal:
        """Return who asks for a session, or why there is none.

        Args:
            path: The request's path.
            query: Its query string.
            headers: Its headers, by names in lower case.
            peer: The gateway's address as gRPC writes it.
        """
        if path != PATH:
            return Refusal(404, {"message": "There is no WebSocket here.", "detail": f"try {PATH}"})
        admitted = self._endpoint.admit(headers, query, peer=peer)
        if isinstance(admitted, Refusal):
            return admitted
        if self._draining:
            return not_ready(_STOPPING)
        if len(self._open) >= self._max_sessions:
            return not_ready(f"{self._max_sessions} sessions are open, and no more are allowed")
        its_own = sum(each.visitor.name == admitted.name for each in self._open)
        if its_own >= self._max_sessions_of_one:
            return not_ready(f"{its_own} sessions of this gateway are open, no more are allowed")
        return admitted

    def opened(self, visitor: Visitor, connection: GatewayConnection) -> GatewaySession:
        """Return the session of a gateway that was admitted."""
        session = GatewaySession(
            visitor,
            self._dispatcher,
            connection,
            broken=partial(self._count, GATEWAY_ERRORS, visitor.name),
            ended=self._ended,
            limits=self._limits,
        )
        self._open[session] = _Open(session, connection, self._clock_ns())
        self._connections.add(connection)
        self._announce(visitor, connection.peer)
        if self._checking is None:
            self._check()
        return session

    def closed(self, connection: GatewayConnection) -> None:
        """Take that a connection is no more."""
        self._connections.discard(connection)
        self._changed.set()

    async def stop(self, grace_s: float) -> None:
        """Answer every call that was received, and close each session when it has none.

        Args:
            grace_s: After that many seconds no more calls are read, and what was
                read is answered.
        """
        self._draining = True
        for session in list(self._open):
            session.drain(_STOPPING, grace_s=grace_s)
        await self._emptied(self._open, grace_s)
        for session in list(self._open):
            session.finish(_STOPPING)
        await self._emptied(self._open, min(grace_s, _LAST_ANSWERS_S))
        for session in list(self._open):
            session.close(_STOPPING)
        await self._emptied(self._connections, grace_s)
        for connection in list(self._connections):
            connection.abort()
        if self._checking is not None:
            self._checking.cancel()

    async def _emptied(self, those: Collection[object], limit_s: float) -> None:
        """Return when none of those is left, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while those:
                    self._changed.clear()
                    await self._changed.wait()

    def _ended(self, session: GatewaySession, reason: str) -> None:
        found = self._open.pop(session)
        self._changed.set()
        visitor = session.visitor
        level = logging.WARNING if session.is_broken else logging.INFO
        self._log(level, visitor, f"has gone from {found.connection.peer}: {reason}")
        found.connection.end(is_fault=session.is_broken)

    def _check(self) -> None:
        """Close the sessions of keys that were revoked, and reset streams that wait too long."""
        for session in list(self._open):
            if self._endpoint.knows(session.visitor):
                session.expire()
            else:
                session.close("its key was revoked")
        self._checking = asyncio.get_running_loop().call_later(_CHECK_S, self._check)

    def _announce(self, visitor: Visitor, peer: str) -> None:
        told = f"API {visitor.version}, build {visitor.build or 'unknown'}"
        self._log(logging.INFO, visitor, f"connected from {peer}, {told}")
        if visitor.is_newer and visitor.name not in self._newer:
            self._newer.add(visitor.name)
            told = f"speaks API {visitor.version}, newer than is known here"
            self._log(logging.WARNING, visitor, f"{told}: its new calls are refused")

    def _log(self, level: int, visitor: Visitor, text: str) -> None:
        if self._lines.admits(visitor.name, now_ns=self._clock_ns()):
            logger.log(level, "gateway %s %s", visitor.name, text)
