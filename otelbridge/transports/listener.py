"""Accepts connections: as many as are allowed, in all and from one address.

The library's own server accepts without end and counts later. Here a
connection beyond a limit is closed before anything of it is read, TLS too.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Sequence

    #: Returns what serves a connection that holds a slot.
    Serve: TypeAlias = Callable[["Slot"], asyncio.Protocol]

logger = logging.getLogger(__name__)

#: Connections that are not yet a gateway's session. Scrapers, probes, people and gateways that
#: dial: a thousand at a time are none of these.
MAX_CONNECTIONS = 1024
#: Those of one address; gateways behind one proxy dial at the same time after a restart.
MAX_OF_ADDRESS = 256
_BACKLOG = 2048  # what the kernel may accept for us; its own limit is often 4096
# A client's part of a TLS handshake takes a few round trips.
_HANDSHAKE_S = 10.0
_TLS_CLOSE_S = 2.0
# Without file descriptors there is nothing to do but to wait.
_RETRY_S = 0.1
_LOG_EVERY_S = 60.0
# An IPv6 host usually has all addresses of its network's last 64 bits (RFC 4291, section 2.5.1).
_HOST_BITS = 64


class Slots:
    """Counts connections against the limits.

    Args:
        most: In all.
        most_of_address: From one address.
    """

    def __init__(self, *, most: int, most_of_address: int) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self._taken: Counter[str] = Counter()

    def take(self, address: str) -> Slot | None:
        """Return a slot for a connection from an address; None if there is none."""
        source = _source(address)
        if self._taken.total() >= self._most or self._taken[source] >= self._most_of_address:
            return None
        self._taken[source] += 1
        return Slot(self, source)

    def give_back(self, source: str) -> None:
        """Count a connection less."""
        self._taken[source] -= 1
        if not self._taken[source]:
            del self._taken[source]


class Slot:
    """One connection's place among those that are allowed."""

    def __init__(self, slots: Slots, source: str) -> None:
        self._slots: Slots | None = slots
        self._source = source

    def release(self) -> None:
        """Leave the place to another; again without effect."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.give_back(self._source)


class Listener:
    """Accepts connections on sockets that are bound already.

    Args:
        sockets: Where to listen; they are closed when it stops.
        serve: Returns what serves a connection.
        context: For TLS; None for plain text.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        serve: Serve,
        *,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._sockets = sockets
        self._serve = serve
        self._context = context
        self._slots = Slots(most=MAX_CONNECTIONS, most_of_address=MAX_OF_ADDRESS)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._logged_at = -_LOG_EVERY_S

    def start(self) -> None:
        """Listen and accept."""
        for opened in self._sockets:
            opened.setblocking(False)
            opened.listen(_BACKLOG)
            self._run(self._accept(opened))

    async def stop(self) -> None:
        """Accept no more; connections that were accepted live on."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for opened in self._sockets:
            opened.close()

    def _run(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name="http listener")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                opened, address = await self._loop.sock_accept(listening)
            except ConnectionAbortedError:
                continue  # it has gone before we came
            except OSError as error:
                self._log(error)
                await asyncio.sleep(_RETRY_S)
                continue
            slot = self._slots.take(address[0] if isinstance(address, tuple) else "")
            if slot is None:
                opened.close()
            else:
                _send_at_once(opened)
                self._run(self._begin(opened, slot)).add_done_callback(
                    partial(_close_if_cancelled, opened)
                )
            await asyncio.sleep(0)  # who floods us must not keep the loop from its other work

    async def _begin(self, opened: socket.socket, slot: Slot) -> None:
        is_tls = self._context is not None
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._serve(slot),
                opened,
                ssl=self._context,
                ssl_handshake_timeout=_HANDSHAKE_S if is_tls else None,
                ssl_shutdown_timeout=_TLS_CLOSE_S if is_tls else None,
            )
        except (OSError, EOFError):  # it has gone, or does not speak TLS
            slot.release()
        except BaseException:
            slot.release()
            raise

    def _log(self, error: OSError) -> None:
        if self._loop.time() - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = self._loop.time()
            logger.error("cannot accept connections, trying again: %s", error.strerror or error)


def _send_at_once(opened: socket.socket) -> None:
    """Let no small answer wait for the acknowledgement of the one before it."""
    if opened.family != socket.AF_UNIX:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _close_if_cancelled(opened: socket.socket, task: asyncio.Task[None]) -> None:
    if task.cancelled():  # perhaps before it had begun
        opened.close()


def _source(address: str) -> str:
    """Return whose connections are counted together."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _HOST_BITS), strict=False))
