"""A journal with something in each table, and what is found in it after its files were damaged."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from otelbridge.domain.ledger import Series, UsageKey, UsageTotals
from otelbridge.domain.ports import OutboxItem, Signal
from otelbridge.journal import SqliteJournal
from otelbridge.journal.entries import Entry
from otelbridge.journal.transaction import Transaction
from tests.journal.journals import entry, finalised, kept, pending, subscribe
from tests.records import ALICE

ROWS = 60
PAYLOAD = 3000


@dataclass(frozen=True, slots=True)
class Sound:
    """A journal before it is damaged.

    Attributes:
        files: Its files by what their names add to the journal's.
        entries: All entries.
        bodies: All bodies in the outbox.
    """

    files: dict[str, bytes]
    entries: list[Entry]
    bodies: list[bytes]

    def write(self, path: Path) -> None:
        """Put the files somewhere."""
        for ending, content in self.files.items():
            path.with_name(path.name + ending).write_bytes(content)


def make(path: Path, *, is_killed: bool, checkpoint_at: int = 0) -> Sound:
    """Make a journal with something in each table; killed, its newest part is in the log."""
    journal = SqliteJournal(path)
    subscribe(journal, "a")
    entries = [entry(n, random.Random(n).randbytes(PAYLOAD)) for n in range(1, ROWS + 1)]
    bodies = [random.Random(-n).randbytes(1000) for n in range(1, ROWS + 1)]
    for number, (each, body) in enumerate(zip(entries, bodies, strict=True), 1):
        journal.commit(
            Transaction(
                entries=[each],
                finalised=[finalised(1000 + number)],
                outbox=[OutboxItem(Signal.TRACES, 1, 1, body)],
                series={("n", (str(number),)): Series(1, number)},
                usage={UsageKey("2026-01-01", ALICE.bytes, "p", str(number), "c"): UsageTotals(1)},
            ),
            now_ns=1,
        )
        if number == checkpoint_at:
            journal.checkpoint()
    if not is_killed:
        journal.close()
    files = {
        ending: path.with_name(path.name + ending).read_bytes()
        for ending in ("", "-wal")
        if path.with_name(path.name + ending).exists()
    }
    if is_killed:
        journal.close()
    return Sound(files, entries, bodies)


def found_in(path: Path) -> tuple[list[Entry], list[bytes]]:
    """Open a journal; return its entries, and what waits."""
    journal = SqliteJournal(path)
    try:
        subscribe(journal, "a")
        return kept(journal), pending(journal, "a", limit=10**6)
    finally:
        journal.close()


def corrupt_files(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.glob("*.corrupt-*"))


def in_order(part: list[object], whole: list[object]) -> bool:
    """Return whether a list is another one with some left out."""
    rest = iter(whole)
    return all(any(each == other for other in rest) for each in part)


def damaged(sound: Sound, seed: int) -> tuple[Sound, bool]:
    """Return a journal with damage by chance, and whether its name as a database has gone."""
    chance = random.Random(seed)
    ending = chance.choice(sorted(sound.files))
    content = bytearray(sound.files[ending])
    how = chance.choice(["flip", "cut", "zero", "noise"])
    place = chance.randrange(len(content))
    size = chance.randint(1, 9000)
    bit = chance.randrange(8)
    if how == "flip":
        content[place] ^= 1 << bit
    elif how == "cut":
        del content[place:]
    elif how == "zero":
        content[place : place + size] = bytes(min(size, len(content) - place))
    else:
        content[place : place + size] = random.Random(size).randbytes(
            min(size, len(content) - place)
        )
    hurt = Sound({**sound.files, ending: bytes(content)}, sound.entries, sound.bodies)
    return hurt, ending == "" and how != "flip" and place < 16
