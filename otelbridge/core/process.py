"""The core in a process of its own.

The interpreter runs one thread at a time: beside the event loop the journal's
thread cost a third of the calls. docs/performance.md has the figures.
"""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from otelbridge.core.channel import Channel, Hello, Opened, PackedResult, Request, Rows
from otelbridge.errors import CoreLostError

if TYPE_CHECKING:
    from collections.abc import Iterable
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
    """Starts the core's process and speaks with it. Every method blocks, for one thread.

    Implements `otelbridge.recording.port.Core`.

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
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                # -P: a module of the same name in the current directory is not ours.
                [sys.executable, "-P", "-m", __package__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._channel = Channel(ours)
        level = logging.getLogger("otelbridge").getEffectiveLevel()
        try:
            self.opened: Opened = self._exchange(Hello(config, clock_ns, level))
        except BaseException:
            self._end()
            raise

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    def commit(self, batch: list[Submission], side: Side) -> Result:
        """Accept records; see `Core.commit`."""
        # Plain tuples take half the time of named ones.
        answer: PackedResult = self._call("commit", [tuple(each) for each in batch], side)
        return answer.unpacked()

    def read(
        self, destination: str, signal: Signal, *, after: int, limit: int, max_bytes: int
    ) -> list[OutboxRow]:
        """Return a destination's rows; see `Core.read`."""
        answer: Rows = self._call(
            "read", destination, signal, after=after, limit=limit, max_bytes=max_bytes
        )
        return answer.unpacked()

    def tend(self) -> None:
        """See whether the disk has space again; see `Core.tend`."""
        self._call("tend")

    def prune(self) -> None:
        """Forget what is too old; see `Core.prune`."""
        self._call("prune")

    def stats(self, destinations: Iterable[str]) -> JournalStats:
        """Return the journal's state; see `Core.stats`."""
        answer: JournalStats = self._call("stats", list(destinations))
        return answer

    def usage(self) -> list[UsageRow]:
        """Return the usage table."""
        answer: list[UsageRow] = self._call("usage")
        return answer

    def status(self) -> dict[str, Any]:
        """Return what the journal holds; see `Core.status`."""
        answer: dict[str, Any] = self._call("status")
        return answer

    def books(self) -> Books:
        """Return what became of everything; see `Core.books`."""
        answer: Books = self._call("books")
        return answer

    def overview(self, day: str) -> Overview:
        """Return what the page shows; see `Core.overview`."""
        answer: Overview = self._call("overview", day)
        return answer

    def canary_progress(self, interception_id: UUID, through: int | None) -> CanaryProgress:
        """Return how far a canary has come; see `Core.canary_progress`."""
        answer: CanaryProgress = self._call("canary_progress", interception_id, through)
        return answer

    def begin_backup(self) -> None:
        """Have the journal's file stay as it is; see `Core.begin_backup`."""
        self._call("begin_backup")

    def end_backup(self) -> bool:
        """Let it change again; see `Core.end_backup`."""
        answer: bool = self._call("end_backup")
        return answer

    def list_letters(self, selection: Selection, *, limit: int) -> Listed:
        """Return dead letters; see `Core.list_letters`."""
        answer: Listed = self._call("list_letters", selection, limit=limit)
        return answer

    def show_letter(self, number: int) -> Shown | None:
        """Return a dead letter with its content; see `Core.show_letter`."""
        answer: Shown | None = self._call("show_letter", number)
        return answer

    def resend_letters(self, selection: Selection) -> Moved:
        """Tell dead letters again; see `Core.resend_letters`."""
        answer: Moved = self._call("resend_letters", selection)
        return answer

    def drop_letters(self, selection: Selection) -> Moved:
        """Forget dead letters; see `Core.drop_letters`."""
        answer: Moved = self._call("drop_letters", selection)
        return answer

    def close(self) -> None:
        """Close the journal and end the process."""
        try:
            self._call("close")
        finally:
            self._end()

    def _call(self, method: str, *args: object, **kwargs: object) -> Any:
        return self._exchange(Request(method, args, kwargs))

    def _exchange(self, message: object) -> Any:
        try:
            self._channel.send(message)
            answer = self._channel.receive()
        except (EOFError, OSError):
            raise CoreLostError(f"the journal's process has ended: {self._end()}") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _end(self) -> str:
        """Wait for the process to end; return how it did."""
        self._channel.close()
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return f"exit {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
