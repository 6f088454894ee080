"""The outbox's newest rows, in memory."""

from __future__ import annotations

from otelbridge.domain.ports import OutboxItem, Signal
from otelbridge.journal import tail as tail_module
from otelbridge.journal.tail import OutboxTail


def filled(*bodies: bytes, last: int = 0) -> OutboxTail:
    tail = OutboxTail(last)
    for seq, body in enumerate(bodies, last + 1):
        tail.append(seq, OutboxItem(Signal.TRACES, 1, 1, body))
    return tail


def test_rows_behind_the_last_taken_are_read_in_order() -> None:
    tail = filled(b"1", b"2", b"3", last=7)

    rows = tail.read(0, Signal.TRACES, 8, limit=9, max_bytes=99)

    assert [(row.seq, row.body) for row in rows] == [(9, b"2"), (10, b"3")]


def test_other_destinations_and_signals_are_left_out() -> None:
    tail = filled(b"1")

    assert tail.read(1, Signal.TRACES, 0, limit=9, max_bytes=99) == []
    assert tail.read(0, Signal.LOGS, 0, limit=9, max_bytes=99) == []


def test_a_read_is_bounded_but_never_empty() -> None:
    tail = filled(b"xxx", b"yyy", b"zzz")

    sizes = [len(tail.read(0, Signal.TRACES, 0, limit=n, max_bytes=b)) for n, b in LIMITS]

    assert sizes == [2, 2, 1]


LIMITS = [(2, 99), (9, 7), (9, 1)]


def test_what_is_on_the_disk_alone_is_not_claimed() -> None:
    tail = filled(b"1", last=7)

    assert (tail.reaches(6), tail.reaches(7)) == (False, True)


def test_the_oldest_rows_go_when_there_are_too_many() -> None:
    rows = tail_module._MAX_ROWS + 3  # noqa: SLF001  # the bound under test

    tail = filled(*[b"x"] * rows)

    assert (tail.reaches(2), tail.reaches(3)) == (False, True)
    assert tail.read(0, Signal.TRACES, 3, limit=1, max_bytes=9)[0].seq == 4


def test_the_oldest_rows_go_when_they_are_too_large() -> None:
    tail = filled(*[b"x" * (6 * 1024 * 1024)] * 3)

    assert (tail.reaches(0), tail.reaches(1)) == (False, True)
