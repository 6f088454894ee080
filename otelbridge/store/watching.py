"""Keeping a store in step with its file, from a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

from otelbridge.errors import StoreError
from otelbridge.store.holder import Store
from otelbridge.store.reloading import StoreFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Sized
    from pathlib import Path

    from otelbridge.domain.access import Snapshot

logger = logging.getLogger(__name__)

# An edit is seen at the next look, and taken at the one after it: in half a
# second, of the second that is promised. A look at one file takes 4 µs.
_LOOK_S = 0.25
# A file system that hangs holds the thread, and must not hold the stop.
_STOP_S = 1.0


class _Outcome(NamedTuple):
    """What came of reading the file.

    Attributes:
        snapshot: What it says; None if it is wrong.
        problems: What is wrong with it, a line each.
        is_new: Whether it says something else than before.
        asked_by: Who asked for it to be read; empty if it had changed.
    """

    snapshot: Snapshot | None
    problems: Sequence[str]
    is_new: bool
    asked_by: str


class StoreWatcher:
    """Reads the store file again when it changes, and swaps the store's snapshot.

    A file that is wrong changes nothing: the last good snapshot stays, each
    mistake is logged once, and the store says how old it is. Files are looked
    at and read in a thread of their own, so that neither a large store nor a
    file system that hangs holds up a reply.

    Args:
        store: The store.
        file: Its file, as it was loaded into the store.
        look_s: Seconds between two looks at the files.

    Attributes:
        store: The store.
    """

    def __init__(self, store: Store, file: StoreFile, *, look_s: float = _LOOK_S) -> None:
        self.store = store
        self._file = file
        self._look_s = look_s
        self._good = store.snapshot
        self._told: set[str] = set()
        self._asked_by = ""
        self._is_stopped = False
        self._woken = threading.Event()
        # A daemon: see _STOP_S.
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def open(cls, path: Path, environ: Mapping[str, str]) -> Self:
        """Load the store file; its tokens are in ``tokens.json`` beside it.

        Raises:
            StoreError: See `load_store`.
        """
        file = StoreFile(path, environ)
        return cls(Store(file.load(), tokens_path=path.with_name("tokens.json")), file)

    def start(self) -> None:
        """Begin to watch; changes are made in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def reload(self, *, asked_by: str) -> None:
        """Read the file again soon, changed or not, and log what came of it.

        Args:
            asked_by: What the log line begins with.
        """
        self._asked_by = asked_by
        self._woken.set()

    async def stop(self, *, limit_s: float = _STOP_S) -> None:
        """Watch no longer.

        Args:
            limit_s: How long to wait for a read that is under way, in seconds.
                What comes of it later is not taken.
        """
        self._is_stopped = True
        self._woken.set()
        if self._loop is not None:
            await asyncio.to_thread(self._thread.join, limit_s)

    def _run(self) -> None:
        while True:
            is_woken = self._woken.wait(self._look_s)
            self._woken.clear()
            if self._is_stopped:
                return
            asked_by, self._asked_by = self._asked_by, ""
            # Only looks that are an interval apart tell whether files are at rest.
            if asked_by or (not is_woken and self._file.has_changed()):
                self._hand_over(self._outcome(asked_by))

    def _outcome(self, asked_by: str) -> _Outcome:
        try:
            snapshot = self._file.load()
        except StoreError as error:
            return _Outcome(None, error.problems, is_new=False, asked_by=asked_by)
        is_new, self._good = snapshot != self._good, snapshot
        return _Outcome(snapshot, (), is_new=is_new, asked_by=asked_by)

    def _hand_over(self, outcome: _Outcome) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._take, outcome)  # type: ignore[union-attr]  # started

    def _take(self, outcome: _Outcome) -> None:
        """Swap the snapshot or keep the last one, and tell what is new; in the event loop."""
        if self._is_stopped:
            return
        was_wrong = self.store.health.problems > 0
        if outcome.snapshot is None:
            self.store.keep(outcome.problems)
            self._tell_problems(outcome, is_first=not was_wrong)
            return
        self._told.clear()
        self.store.swap(outcome.snapshot)
        if outcome.is_new or was_wrong or outcome.asked_by:
            news = "in force" if outcome.is_new else "nothing changed"
            self._tell(logging.INFO, outcome, f"{news}: {summed_up(outcome.snapshot)}")

    def _tell_problems(self, outcome: _Outcome, *, is_first: bool) -> None:
        for problem in outcome.problems:
            if problem not in self._told:
                logger.error("%s", problem)
        self._told.update(outcome.problems)
        if is_first or outcome.asked_by:
            count = len(outcome.problems)
            text = f"{count} problem{'s' * (count > 1)}, what was last right stays in force"
            self._tell(logging.WARNING, outcome, text)

    def _tell(self, level: int, outcome: _Outcome, text: str) -> None:
        asked_by = f"{outcome.asked_by}: " if outcome.asked_by else ""
        logger.log(level, "%s%s: %s", asked_by, self._file.path.name, text)


def summed_up(snapshot: Snapshot) -> str:
    """Return how much there is of everything, for people."""
    held: dict[str, Sized] = {
        "users": snapshot.users,
        "keys": snapshot.keys,
        "gateways": snapshot.gateways,
        "MCP servers": snapshot.mcp_servers,
        "providers": snapshot.providers,
        "budgets": snapshot.budgets,
    }
    return ", ".join(f"{name}: {len(table)}" for name, table in held.items())
