"""Dead letters, wherever they are: a running bridge is asked, else its journal is opened."""

from __future__ import annotations

from base64 import b64decode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from otelbridge.clock import SteadyClock
from otelbridge.core.letters import letters_at_rest
from otelbridge.domain.ports import Signal
from otelbridge.errors import OtelBridgeError
from otelbridge.journal.dead_letters import DeadLetter
from otelbridge.recording.dead_letters import Listed, Shown
from otelbridge.transports.control import ask, control_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otelbridge.config import Config
    from otelbridge.journal.dead_letters import Selection


class Part(Protocol):
    """What became of some dead letters; see `otelbridge.recording.dead_letters.Moved`."""

    @property
    def letters(self) -> int:
        """How many were told again or dropped."""

    @property
    def items(self) -> int:
        """Spans and log records in them."""

    @property
    def skipped(self) -> int:
        """How many were left."""

    @property
    def last(self) -> int:
        """The last one that was looked at; 0 if there was none."""


class Letters(Protocol):
    """Dead letters; see `otelbridge.recording.dead_letters.DeadLetters`."""

    def listed(self, selection: Selection, *, limit: int) -> Listed:
        """Return the oldest of a selection, and how many there are."""

    def shown(self, number: int) -> Shown | None:
        """Return one with its content."""

    def resend(self, selection: Selection) -> Part:
        """Tell some of a selection again."""

    def drop(self, selection: Selection) -> Part:
        """Forget some of a selection."""


class Moved(NamedTuple):
    """What became of a selection.

    Attributes:
        letters: How many were told again or dropped.
        items: Spans and log records in them.
        skipped: How many were left: their destination takes them no more.
    """

    letters: int = 0
    items: int = 0
    skipped: int = 0


@contextmanager
def open_letters(config: Config) -> Iterator[Letters]:
    """Return the dead letters of these settings' journal.

    Raises:
        OtelBridgeError: If neither a bridge answers nor the journal can be opened.
    """
    path = control_path(config.journal.path)
    if ask(path, "deadletters-list", limit="0") is not None:
        yield _Asked(path)
        return
    with letters_at_rest(config, clock_ns=SteadyClock()) as letters:
        yield letters


def move_all(letters: Letters, move: Callable[[Selection], Part], selection: Selection) -> Moved:
    """Tell again or drop a whole selection, some at a time.

    Those that come to be meanwhile are left alone: what is told again may be
    refused again.

    Args:
        letters: The dead letters.
        move: Its `resend` or `drop`.
        selection: Which ones.
    """
    last = letters.listed(selection, limit=0).last
    selection = selection._replace(through=last)
    done = Moved()
    while (part := move(selection)).last:
        done = Moved(
            done.letters + part.letters, done.items + part.items, done.skipped + part.skipped
        )
        selection = selection._replace(after=part.last)
    return done


class _Part(NamedTuple):
    letters: int
    items: int
    skipped: int
    last: int


class _Asked:
    """Dead letters of a running bridge.

    Args:
        path: Its control socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def listed(self, selection: Selection, *, limit: int) -> Listed:
        """See `Letters.listed`."""
        found = self._ask("deadletters-list", limit=str(limit), **_query(selection))
        return Listed([_letter(each) for each in found["letters"]], found["total"], found["last"])

    def shown(self, number: int) -> Shown | None:
        """See `Letters.shown`."""
        found = self._ask("deadletters-show", id=str(number))
        if found["letter"] is None:
            return None
        return Shown(_letter(found["letter"]), b64decode(found["body"]))

    def resend(self, selection: Selection) -> Part:
        """See `Letters.resend`."""
        return _Part(**self._ask("deadletters-resend", **_query(selection)))

    def drop(self, selection: Selection) -> Part:
        """See `Letters.drop`."""
        return _Part(**self._ask("deadletters-drop", **_query(selection)))

    def _ask(self, name: str, **parameters: str) -> Any:
        answer = ask(self._path, name, **parameters)
        if answer is None:
            raise OtelBridgeError(f"{self._path}: the bridge has ended")
        return answer


def _query(selection: Selection) -> dict[str, str]:
    query = {"after": str(selection.after), "through": str(selection.through)}
    if selection.ids is not None:
        query["ids"] = ",".join(map(str, selection.ids))
    if selection.destination is not None:
        query["destination"] = selection.destination
    return query


def _letter(told: dict[str, Any]) -> DeadLetter:
    return DeadLetter(**{**told, "signal": Signal(told["signal"])})
