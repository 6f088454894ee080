"""The core in a process of its own.

The interpreter runs one thread at a time: beside the event loop the journal's
thread cost a third of the calls. docs/performance.md has the figures.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from otelbridge.core.caller import Caller
from otelbridge.core.channel import Channel, Hello, Opened, PackedResult, Request, Rows
from otelbridge.errors import CoreLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from otelbridge.clock import SteadyClock
    from otelbridge.config import Config
    from otelbridge.core.canary import CanaryProgress
    from otelbridge.core.overview import Overview
    from otelbridge.domain.books import Books
    from otelbridge.domain.ports import OutboxRow, Signal
    from otelbridge.journal.dead_letters import Selection
    from otelbridge.journal.usage import UsageRow
    from otelbridge.recording import JournalStats, Result, Side, Submission
    from otelbridge.recording.dead_letters import Listed, Moved, Shown

# A process that was told to end and does not: the disk may hold it for a while.
_END_S = 10.0


class CoreProcess:
    """Starts the core's process and speaks with it.

    Implements `otelbridge.recording.port.Core`. It may be made in any thread;
    every method is for the event loop's.

    Args:
        config: The settings, with absolute paths.
        clock_ns: The bridge's clock.

    Attributes:
        opened: What was in the journal when it was opened.

    Raises:
        JournalError: If the journal cannot be opened.
        ConfigError: If the file of prices is wrong.
    """

    def __init__(self, config: Config, *, clock_ns: SteadyClock) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                # -P: a module of the same name in the current directory is not ours.
                [sys.executable, "-P", "-m", __package__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        level = logging.getLogger("otelbridge").getEffectiveLevel()
        try:
            self.opened = self._open(Hello(config, clock_ns, level))
        except (EOFError, OSError):
            raise _core_ended(self._end()) from None
        except BaseException:
            self._end()
            raise
        self._caller: Caller | None = None
        self._pending: set[asyncio.Future[Any]] = set()
        self._loss: CoreLostError | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    def commit(self, batch: list[Submission], side: Side) -> asyncio.Future[Result]:
        """Accept records; see `Core.commit`."""
        # Plain tuples take half the time of named ones.
        plain = [tuple(each) for each in batch]
        return self._call(Request("commit", (plain, side)), PackedResult.unpacked)

    def read(
        self, destination: str, signal: Signal, *, after: int, limit: int, max_bytes: int
    ) -> asyncio.Future[list[OutboxRow]]:
        """Return a destination's rows; see `Core.read`."""
        span = {"after": after, "limit": limit, "max_bytes": max_bytes}
        return self._call(Request("read", (destination, signal), span), Rows.unpacked)

    def tend(self) -> asyncio.Future[None]:
        """See whether the disk has space again; see `Core.tend`."""
        return self._call(Request("tend"))

    def prune(self) -> asyncio.Future[None]:
        """Forget what is too old; see `Core.prune`."""
        return self._call(Request("prune"))

    def stats(self, destinations: Iterable[str]) -> asyncio.Future[JournalStats]:
        """Return the journal's state; see `Core.stats`."""
        return self._call(Request("stats", (list(destinations),)))

    def usage(self) -> asyncio.Future[list[UsageRow]]:
        """Return the usage table."""
        return self._call(Request("usage"))

    def status(self) -> asyncio.Future[dict[str, Any]]:
        """Return what the journal holds; see `Core.status`."""
        return self._call(Request("status"))

    def books(self) -> asyncio.Future[Books]:
        """Return what became of everything; see `Core.books`."""
        return self._call(Request("books"))

    def overview(self, day: str) -> asyncio.Future[Overview]:
        """Return what the page shows; see `Core.overview`."""
        return self._call(Request("overview", (day,)))

    def canary_progress(
        self, interception_id: UUID, through: int | None
    ) -> asyncio.Future[CanaryProgress]:
        """Return how far a canary has come; see `Core.canary_progress`."""
        return self._call(Request("canary_progress", (interception_id, through)))

    def begin_backup(self) -> asyncio.Future[None]:
        """Have the journal's file stay as it is; see `Core.begin_backup`."""
        return self._call(Request("begin_backup"))

    def end_backup(self) -> asyncio.Future[bool]:
        """Let it change again; see `Core.end_backup`."""
        return self._call(Request("end_backup"))

    def list_letters(self, selection: Selection, *, limit: int) -> asyncio.Future[Listed]:
        """Return dead letters; see `Core.list_letters`."""
        return self._call(Request("list_letters", (selection,), {"limit": limit}))

    def show_letter(self, number: int) -> asyncio.Future[Shown | None]:
        """Return a dead letter with its content; see `Core.show_letter`."""
        return self._call(Request("show_letter", (number,)))

    def resend_letters(self, selection: Selection) -> asyncio.Future[Moved]:
        """Tell dead letters again; see `Core.resend_letters`."""
        return self._call(Request("resend_letters", (selection,)))

    def drop_letters(self, selection: Selection) -> asyncio.Future[Moved]:
        """Forget dead letters; see `Core.drop_letters`."""
        return self._call(Request("drop_letters", (selection,)))

    async def close(self) -> None:
        """Close the journal and end the process."""
        try:
            await self._call(Request("close"))
        finally:
            if self._caller is not None:
                self._caller.close()
            await (self._ending or self._fail())

    def _open(self, hello: Hello) -> Opened:
        channel = Channel(self._socket)
        channel.send(hello)
        opened: Opened | Exception = channel.receive()
        if isinstance(opened, Exception):
            raise opened
        return opened

    def _call(
        self, request: Request, read: Callable[[Any], Any] = lambda answer: answer
    ) -> asyncio.Future[Any]:
        """Return what the core answers, once `read` has made of it what was asked for."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._loss is not None:
            future.set_exception(self._loss)
            return future
        if self._caller is None:
            self._caller = Caller(self._socket, lost=self._lost)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        self._caller.call(request, partial(_settle, future, read))
        return future

    def _lost(self) -> None:
        self._ending = asyncio.create_task(self._fail())

    async def _fail(self) -> None:
        """Tell all who wait, and all who come, that the core has gone."""
        self._loss = _core_ended(await asyncio.to_thread(self._end))
        for future in list(self._pending):
            if not future.done():
                future.set_exception(self._loss)

    def _end(self) -> str:
        """Wait for the process to end; return how it did."""
        self._socket.close()
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return f"exit {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


def _core_ended(how: str) -> CoreLostError:
    return CoreLostError(f"the journal's process has ended: {how}")


def _settle(future: asyncio.Future[Any], read: Callable[[Any], Any], answer: Any) -> None:
    if future.done():  # whoever asked has gone
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(read(answer))
