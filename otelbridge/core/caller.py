"""The bridge's end of the channel, once commits begin: the event loop calls, and never waits.

Requests leave at once and answers come in the same order, so that the core
finds the next request while it still answers the last one. A thread between
the two had to wait for the interpreter's lock at every turn: docs/performance.md.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from otelbridge.core.channel import PROTOCOL, SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

# Fewer pieces than the kernel takes at once (IOV_MAX, 1024).
_AT_ONCE = 64


class Caller:
    """Sends requests and hears their answers. For the running event loop's thread.

    Args:
        end: The socket; it is closed by its owner, after `close`.
        lost: Called once if the other end goes.
    """

    def __init__(self, end: socket.socket, *, lost: Callable[[], None]) -> None:
        end.setblocking(False)
        self._socket = end
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[Any], None]] = deque()
        self._unsent: deque[memoryview] = deque()
        self._is_open = True
        self._buffer = bytearray(SIZE.size)
        self._room = memoryview(self._buffer)
        self._is_size = True
        self._loop.add_reader(end, self._receive)

    def call(self, message: object, answered: Callable[[Any], None]) -> None:
        """Send one object.

        Args:
            message: The object.
            answered: Called with its answer; never if the other end goes.
        """
        if not self._is_open:
            return
        data = pickle.dumps(message, PROTOCOL)
        self._waiting.append(answered)
        is_busy = bool(self._unsent)
        self._unsent += (memoryview(SIZE.pack(len(data))), memoryview(data))
        if not is_busy:
            self._send()

    def close(self) -> None:
        """Hear nothing more."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    def _send(self) -> None:
        """Send what the other end takes; of the rest the loop reminds us."""
        while self._unsent:
            try:
                sent = self._socket.sendmsg(islice(self._unsent, _AT_ONCE))
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._send)
                return
            except OSError:
                self._give_up()
                break
            while sent:
                first = self._unsent.popleft()
                if sent < len(first):
                    self._unsent.appendleft(first[sent:])
                sent -= min(sent, len(first))
        self._loop.remove_writer(self._socket)

    def _give_up(self) -> None:
        """Send nothing more: the other end has gone, or ends now. What it still says is read."""
        self._unsent.clear()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _receive(self) -> None:
        """Read what is there, and tell whole answers to those who wait."""
        try:
            while self._is_open:
                more = self._socket.recv_into(self._room)
                if not more:
                    self._end()
                    return
                self._room = self._room[more:]
                if not self._room:
                    self._taken()
        except BlockingIOError:
            return
        except OSError:
            self._end()

    def _taken(self) -> None:
        """Take what was expected, a size or an answer, and expect the other."""
        data, was_size = self._buffer, self._is_size
        size = SIZE.unpack(data)[0] if was_size else SIZE.size
        self._buffer = bytearray(size)
        self._room = memoryview(self._buffer)
        self._is_size = not was_size
        if not was_size:
            self._waiting.popleft()(pickle.loads(data))  # noqa: S301  # of our own process

    def _end(self) -> None:
        self.close()
        self._lost()
