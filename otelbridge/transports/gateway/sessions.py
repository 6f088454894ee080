"""All sessions of gateways: who is connected, until when."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.protocols import yamux
from otelbridge.telemetry.instruments import GATEWAY_ERRORS
from otelbridge.transports.gateway.endpoint import PATH, Refusal, not_ready
from otelbridge.transports.gateway.session import GatewaySession

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelbridge.servicers.methods import Count
    from otelbridge.transports.gateway.calls import Dispatcher
    from otelbridge.transports.gateway.connection import GatewayConnection
    from otelbridge.transports.gateway.endpoint import Endpoint, Visitor

logger = logging.getLogger(__name__)

#: Sessions at one time; an organisation has tens of gateways.
MAX_SESSIONS = 1024
# How often it is looked whether a gateway's key was revoked.
_CHECK_S = 1.0
# What was read when the time is up is still answered, but not for longer than this.
_LAST_ANSWERS_S = 1.0
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
    ) -> None:
        self._endpoint = endpoint
        self._dispatcher = dispatcher
        self._clock_ns = clock_ns
        self._count = count
        self._limits = limits or yamux.Limits()
        self._max_sessions = max_sessions
        self._open: dict[GatewaySession, _Open] = {}
        self._newer: set[str] = set()
        self._draining = False
        self._empty = asyncio.Event()
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
            peer: The gateway's address.
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
        return admitted

    def opened(self, visitor: Visitor, connection: GatewayConnection) -> GatewaySession:
        """Return the session of a gateway that was admitted."""
        session = GatewaySession(
            visitor,
            self._dispatcher,
            peer=lambda: connection.peer,
            write=connection.write,
            broken=partial(self._count, GATEWAY_ERRORS, visitor.name),
            ended=self._ended,
            limits=self._limits,
        )
        self._open[session] = _Open(session, connection, self._clock_ns())
        self._empty.clear()
        self._announce(visitor, connection.peer)
        if self._checking is None:
            self._check()
        return session

    async def stop(self, grace_s: float) -> None:
        """Answer every call that was received, and close each session when it has none.

        Args:
            grace_s: After that many seconds no more calls are read, and what was
                read is answered.
        """
        self._draining = True
        for session in list(self._open):
            session.drain(_STOPPING)
        await self._all_ended(grace_s)
        for each in self._open.values():
            each.connection.pause_reading()
        await self._all_ended(min(grace_s, _LAST_ANSWERS_S))
        for session in list(self._open):
            session.close(_STOPPING)
        if self._checking is not None:
            self._checking.cancel()

    async def _all_ended(self, limit_s: float) -> None:
        """Return when no session is open, or after so many seconds."""
        if self._open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), limit_s)

    def _ended(self, session: GatewaySession, reason: str) -> None:
        found = self._open.pop(session)
        if not self._open:
            self._empty.set()
        visitor = session.visitor
        logger.info("gateway %s at %s has gone: %s", visitor.name, found.connection.peer, reason)
        found.connection.end(is_fault=session.is_broken)

    def _check(self) -> None:
        """Close the sessions of keys that were revoked."""
        for session in [each for each in self._open if not self._endpoint.knows(each.visitor)]:
            session.close("its key was revoked")
        self._checking = asyncio.get_running_loop().call_later(_CHECK_S, self._check)

    def _announce(self, visitor: Visitor, peer: str) -> None:
        logger.info(
            "gateway %s connected from %s, API %s, build %s",
            visitor.name,
            peer,
            visitor.version,
            visitor.build or "unknown",
        )
        if visitor.is_newer and visitor.version not in self._newer:
            self._newer.add(visitor.version)
            logger.warning(
                "gateway %s speaks API %s, newer than is known here: its new calls are refused",
                visitor.name,
                visitor.version,
            )
