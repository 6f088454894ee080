"""The backlog: records that the journal held when it was opened.

A large one is read little by little while new records are accepted. An
interception is either wholly in the assembler or wholly unread: whatever asks
for one that is unread has all its records read first. So whether a record is
a repeat, and under which start it is booked, never depends on how far the
reading has come.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from otelbridge.journal.quarantine import Damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otelbridge.domain.assembler import Assembler
    from otelbridge.domain.records import Record
    from otelbridge.journal import SqliteJournal
    from otelbridge.journal.entries import Entry

logger = logging.getLogger(__name__)

_NS = 1_000_000_000
_PROGRESS_NS = 5 * _NS


class Backlog:
    """Reads the journal's records back into the assembler.

    Args:
        journal: Where they are.
        assembler: Where they go.
        parse: Reads an entry; may raise anything.
        finalised_among: Which of some interceptions have been finalised, and when.
        clock_ns: The bridge's clock.

    Attributes:
        total: Number of records that there were, finalised ones among them.
        taken: How many of those have been looked at.
    """

    def __init__(
        self,
        journal: SqliteJournal,
        assembler: Assembler,
        *,
        parse: Callable[[Entry], Record],
        finalised_among: Callable[[set[UUID]], Mapping[UUID, int]],
        clock_ns: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._batches = journal.batches
        self._assembler = assembler
        self._parse = parse
        self._finalised_among = finalised_among
        self._clock_ns = clock_ns
        self._staged: dict[int, list[Entry]] = {}
        self._read_through = 0
        self.total = self._batches.load()
        self.taken = 0
        self._through = self._batches.last
        self._told_at_ns = clock_ns()

    @property
    def is_done(self) -> bool:
        """Return whether everything has been read."""
        return self._read_through >= self._through

    def read_on(self, limit: int) -> None:
        """Read about this many records more."""
        wanted = self.taken + limit
        while not self.is_done and self.taken < wanted:
            seq = self._batches.next_after(self._read_through)
            if seq is None or seq > self._through:
                self._read_through = self._through
                self._add_all(self._staged)
            else:
                self._take(seq)
                self._read_through = seq
        self._tell_progress()

    def fetch(self, interceptions: Iterable[UUID]) -> None:
        """Read the records of interceptions that have not been finalised, if they are unread."""
        found: dict[int, list[Entry]] = {}
        rows: defaultdict[int, set[int]] = defaultdict(set)
        for interception in interceptions:
            if interception in self._batches and interception not in self._assembler:
                found[interception.int] = self._staged.pop(interception.int, [])
                for seq in self._batches.rows_of(interception):
                    if seq > self._read_through:
                        rows[seq].add(interception.int)
        for seq in sorted(rows):
            for entry in self._batches.read(seq).entries:
                if entry.interception_id.int in rows[seq]:
                    found[entry.interception_id.int].append(entry)
        self._add_all(found)

    def _take(self, seq: int) -> None:
        """Read a row; add the interceptions whose last row it is."""
        row = self._batches.read(seq)
        self.taken += len(row.entries)
        unread = self._unread(row.interceptions, seq)
        for interception in unread:
            self._staged.setdefault(interception, [])
        for entry in row.entries:
            if entry.interception_id.int in unread:
                self._staged[entry.interception_id.int].append(entry)
        whole = [each for each in unread if self._batches.rows_of(UUID(int=each))[-1] <= seq]
        self._add_all({each: self._staged[each] for each in whole})

    def _unread(self, interceptions: set[int], seq: int) -> set[int]:
        """Return those that are open and not in the assembler; forget those that were finalised."""
        known = [UUID(int=each) for each in interceptions]
        unread = {each for each in known if each in self._batches and each not in self._assembler}
        first = {each for each in unread if self._batches.rows_of(each)[0] == seq}
        finalised = self._finalised_among(first)
        self._batches.forget(finalised)
        return {each.int for each in unread if each not in finalised}

    def _add_all(self, found: dict[int, list[Entry]]) -> None:
        for interception, entries in list(found.items()):
            self._staged.pop(interception, None)
            records = [record for entry in entries if (record := self._record(entry))]
            for record in records:
                self._assembler.add(record)
            if not records:  # all of them are damaged: nothing will finalise it
                self._batches.forget({UUID(int=interception): 0})

    def _record(self, entry: Entry) -> Record | None:
        """Return the record of an entry; None if it cannot be read, which stops nothing."""
        try:
            record = self._parse(entry)
        except Exception:
            kind = entry.kind.name.lower()
            logger.exception("a %s record of the journal is lost", kind)
            for seq in self._batches.rows_of(entry.interception_id):
                problem = f"a {kind} record cannot be read"
                self._journal.quarantine.report(Damage("batch", seq, problem))
            return None
        now_ns = self._clock_ns()
        if record.received_at_ns > now_ns:  # the clock was set back between the runs
            return replace(record, received_at_ns=now_ns)
        return record

    def _tell_progress(self) -> None:
        now_ns = self._clock_ns()
        if not self.is_done and now_ns - self._told_at_ns >= _PROGRESS_NS:
            self._told_at_ns = now_ns
            percent = 100 * self.taken // max(1, self.total)
            logger.info(
                "journal: %d of %d records are read again, %d %%", self.taken, self.total, percent
            )
