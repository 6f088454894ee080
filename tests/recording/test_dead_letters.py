"""Dead letters on a real journal: kept, bounded, told again, dropped; each counted once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otelbridge.core.core import Core
from otelbridge.domain.assembler import Assembler
from otelbridge.domain.ledger import Ledger
from otelbridge.domain.ports import OutboxItem, OutboxRow, Signal
from otelbridge.journal import SqliteJournal
from otelbridge.journal.dead_letters import DeadLetter, Selection
from otelbridge.journal.subscriptions import Subscription
from otelbridge.journal.transaction import Buried, Transaction
from otelbridge.recording import Limits, Recording, Result, Side
from otelbridge.recording.dead_letters import Moved
from tests.recording.recordings import Given
from tests.records import T0
from tests.sinks import MemoryTeller

QUOTA = 100_000
SIGNALS = frozenset({"traces", "logs"})


class Bench:
    """A core on a journal file, with destinations "a" and "b"."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.open()

    def open(self) -> None:
        self.journal = SqliteJournal(self._path)
        self.journal.subscribe(
            [Subscription(name=name, variant="v", signals=SIGNALS) for name in ("a", "b")],
            now_ns=T0,
        )
        self.ledger = Ledger(self.journal.ledger.series())
        recording = Recording(
            self.journal,
            Assembler(grace_s=0, max_age_s=3600),
            self.ledger,
            MemoryTeller(),
            read=Given().read,
            clock_ns=lambda: T0,
            dedup_s=60,
            limits=Limits(quotas={"a": QUOTA, "b": QUOTA}),
        )
        recording.replay(lambda _: pytest.fail("there are no records"))
        self.core = Core(recording, self.journal, takes={"a": SIGNALS, "b": frozenset({"traces"})})

    def reopen(self) -> None:
        self.journal.close()
        self.open()

    def bury(
        self, name: str, *bodies: bytes, signal: Signal = Signal.TRACES, items: int = 1
    ) -> None:
        """Bury rows as delivery does."""
        rows = [OutboxRow(seq, items, body) for seq, body in enumerate(bodies, 1)]
        side = Side(buried=[Buried(name, signal, row, "http_400: bad") for row in rows])
        self.core.commit([], side)

    def tell(self, *bodies: bytes) -> None:
        """Tell spans to "a"."""
        items = [OutboxItem(Signal.TRACES, 1, 1, body) for body in bodies]
        self.journal.commit(Transaction(outbox=items), now_ns=T0)

    def waiting(self, name: str, signal: Signal = Signal.TRACES) -> list[bytes]:
        rows = self.core.read(name, signal, after=0, limit=9999, max_bytes=10**9)
        return [row.body for row in rows]

    def ids(self, selection: Selection = Selection()) -> list[int]:  # noqa: B008  # immutable
        return [letter.id for letter in self.core.list_letters(selection, limit=9999).letters]

    def count(self, instrument: str, *values: str) -> object:
        series = self.ledger.snapshot().get((f"otelbridge.delivery.{instrument}", values))
        return series.value if series else 0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "journal.db")
    yield bench
    bench.journal.close()


def test_what_was_buried_is_listed_oldest_first_with_its_reason(bench: Bench) -> None:
    bench.bury("a", b"one", b"twelve", items=3)
    bench.bury("b", b"x", signal=Signal.LOGS)

    found = bench.core.list_letters(Selection(), limit=2)

    assert [each.id for each in found.letters] == [1, 2]
    assert (found.total, found.last) == (3, 3)
    first, second = found.letters
    assert first == (1, "a", Signal.TRACES, 3, 3, T0, "http_400: bad")
    assert second.size == 6


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), [1, 2, 3]),
        (Selection(ids=(3, 1, 99)), [1, 3]),
        (Selection(destination="a"), [1, 2]),
        (Selection(destination="a", after=1), [2]),
        (Selection(through=2), [1, 2]),
        (Selection(ids=(3,), destination="a"), []),
    ],
)
def test_a_selection_is_of_those_that_meet_all_its_conditions(
    bench: Bench, selection: Selection, expected: list[int]
) -> None:
    bench.bury("a", b"1", b"2")
    bench.bury("b", b"3")

    assert bench.ids(selection) == expected
    assert bench.core.list_letters(selection, limit=0).total == len(expected)


def test_one_is_shown_with_its_content(bench: Bench) -> None:
    bench.bury("a", b"content")

    shown = bench.core.show_letter(1)

    assert shown is not None
    assert (shown.letter.id, shown.body) == (1, b"content")
    assert bench.core.show_letter(2) is None


def test_what_is_told_again_waits_behind_the_rest_for_its_destination_alone(bench: Bench) -> None:
    bench.bury("a", b"again", items=2)
    bench.tell(b"first")

    moved = bench.core.resend_letters(Selection(ids=(1,)))

    assert moved[:4] == (1, 2, 0, 1)
    assert bench.waiting("a") == [b"first", b"again"]
    assert bench.waiting("b") == []
    assert bench.ids() == []
    assert bench.count("resent", "a", "traces") == 2
    assert bench.count("told", "a", "traces") == 2


def test_a_change_says_what_the_serving_process_must_know(bench: Bench) -> None:
    bench.bury("a", b"again")

    result = bench.core.resend_letters(Selection()).result

    assert isinstance(result, Result)
    assert Signal.TRACES in result.told
    assert result.series["otelbridge.delivery.resent", ("a", "traces")].value == 1


def test_what_is_dropped_is_gone_and_counted_also_after_a_restart(bench: Bench) -> None:
    bench.bury("a", b"1", b"2", items=5)

    moved = bench.core.drop_letters(Selection(ids=(2,)))
    bench.reopen()

    assert moved[:4] == (1, 5, 0, 2)
    assert bench.ids() == [1]
    assert bench.count("dropped", "a", "traces", "asked") == 5


def test_nothing_is_done_about_nothing(bench: Bench) -> None:
    assert bench.core.drop_letters(Selection())[:4] == (0, 0, 0, 0)
    assert bench.core.resend_letters(Selection(ids=(7,)))[:4] == (0, 0, 0, 0)


def test_what_a_destination_takes_no_more_is_skipped_and_kept(bench: Bench) -> None:
    bench.bury("b", b"log", signal=Signal.LOGS)
    bench.bury("gone", b"span")
    bench.bury("b", b"span")

    moved = bench.core.resend_letters(Selection())

    assert moved[:4] == (1, 1, 2, 3)
    assert bench.ids() == [1, 2]
    assert bench.waiting("b") == [b"span"]


def test_a_large_selection_is_moved_in_parts(bench: Bench) -> None:
    bench.bury("a", *[b"x" * 10] * 600)

    moved: list[Moved] = []
    selection = Selection()
    while (part := bench.core.resend_letters(selection)).last:
        moved.append(part)
        selection = selection._replace(after=part.last)

    assert [part.letters for part in moved] == [256, 256, 88]
    assert len(bench.waiting("a")) == 600


def test_dead_letters_take_what_space_is_left_and_the_oldest_go_first(bench: Bench) -> None:
    bench.bury("a", *[b"x" * 30_000] * 3)
    bench.core.commit([], Side())
    before = bench.ids()

    bench.tell(b"y" * 50_000)
    bench.core.commit([], Side())

    assert before == [1, 2, 3]
    assert bench.ids() == [3]
    assert bench.count("dropped", "a", "traces", "max_bytes") == 2
    assert bench.waiting("a") == [b"y" * 50_000]


def test_dead_letters_of_one_destination_do_not_cost_another_one(bench: Bench) -> None:
    bench.bury("a", *[b"x" * 30_000] * 4)
    bench.bury("b", *[b"x" * 30_000] * 3)
    bench.core.commit([], Side())

    assert [letter.destination for letter in _letters(bench)] == ["a"] * 3 + ["b"] * 3


def test_a_resent_letter_needs_no_more_space_than_before(bench: Bench) -> None:
    bench.bury("a", *[b"x" * 30_000] * 3)

    bench.core.resend_letters(Selection(ids=(3,)))
    bench.core.commit([], Side())

    assert bench.ids() == [1, 2]
    assert bench.count("dropped", "a", "traces", "max_bytes") == 0


def test_what_is_kept_is_known_after_a_restart(bench: Bench) -> None:
    bench.bury("a", b"1", b"2", items=2)
    bench.bury("b", b"3")
    before = bench.core.stats(["a", "b"]).dead_letters

    bench.reopen()
    after = bench.core.stats(["a", "b"]).dead_letters
    bench.core.drop_letters(Selection(destination="a"))

    assert before == after == {("a", Signal.TRACES): 4, ("b", Signal.TRACES): 1}
    assert bench.core.stats(["a", "b"]).dead_letters == {("b", Signal.TRACES): 1}


def _letters(bench: Bench) -> list[DeadLetter]:
    return bench.core.list_letters(Selection(), limit=99).letters
