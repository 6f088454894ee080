"""The assembler, with the clock passed in."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.assembler import Assembler, Verdict
from otelbridge.domain.interception import Thread
from otelbridge.domain.records import Record, sort_key
from tests.faults import fault
from tests.records import BOB, T0, S, ended, prompt, started, thought, tokens, tool, uuid

RECORDS: list[Record] = [
    started(),
    prompt(),
    thought(),
    tokens(),
    tokens(at_s=3.5),
    tool(),
    tool(at_s=4.5, call="toolu_2"),
    ended(),
]


def new_assembler() -> Assembler:
    return Assembler(grace_s=6, max_age_s=3600)


def filled(*records: Record) -> Assembler:
    assembler = new_assembler()
    for record in records:
        assembler.add(record)
    return assembler


@fault(22)
@given(order=st.permutations(RECORDS))
def test_any_order_of_arrival_gives_the_same_interception(order: list[Record]) -> None:
    assembler = filled(*order)

    interception = assembler.assembled(uuid(1), Thread(root_id=uuid(1)))

    assert list(interception.records) == sorted(RECORDS, key=sort_key)
    assert (interception.start, interception.end) == (RECORDS[0], RECORDS[-1])


@given(order=st.permutations(RECORDS), last=st.integers(0, len(RECORDS) - 1))
def test_a_removed_record_leaves_no_trace(order: list[Record], last: int) -> None:
    assembler = filled(*order)
    without = filled(*(r for r in order if r is not order[last]))

    assembler.remove(order[last])

    thread = Thread(root_id=uuid(1))
    assert assembler.assembled(uuid(1), thread) == without.assembled(uuid(1), thread)
    assert +Counter(assembler.active()) == +Counter(without.active())
    assert assembler.due(T0 + 10**6 * S, limit=9) == without.due(T0 + 10**6 * S, limit=9)


def test_the_only_record_of_an_interception_can_be_removed() -> None:
    assembler = filled(started())

    assembler.remove(started())

    assert (len(assembler), assembler.due(T0 + 10**6 * S, limit=9)) == (0, [])


def test_the_same_record_again_is_a_duplicate() -> None:
    assembler = filled(*RECORDS)

    verdicts = {assembler.take(record) for record in RECORDS}

    assert verdicts == {Verdict.DUPLICATE}


def test_a_different_start_is_a_conflict_and_a_different_end_is_not() -> None:
    assembler = filled(*RECORDS)

    assert assembler.take(started(at_s=1)) is Verdict.CONFLICT
    assert assembler.take(ended(at_s=8)) is Verdict.FRESH


def test_the_earliest_of_differing_ends_wins() -> None:
    assembler = filled(started(), ended(at_s=9), ended(at_s=7))

    interception = assembler.assembled(uuid(1), Thread(root_id=uuid(1)))

    assert interception.end == ended(at_s=7)
    assert interception.end_conflict


@pytest.mark.parametrize(
    ("records", "due_s"),
    [
        ([started(), ended(at_s=9)], 15),
        ([started(), ended(at_s=9), tokens(at_s=12)], 18),
        ([ended(at_s=9), started(at_s=20)], 26),
        ([started(), tokens(at_s=12)], 12 + 3600),
        ([ended(at_s=9), tokens(at_s=12)], 12 + 3600),
        ([started(), ended(at_s=9), *(tokens(at_s=s) for s in range(10, 68, 4))], 69),
    ],
    ids=["end", "late record", "end first", "no end", "no start", "never longer than 60 s"],
)
def test_an_interception_is_due_at_its_deadline_and_not_before(
    records: list[Record], due_s: int
) -> None:
    assembler = filled(*records)

    assert assembler.due(T0 + due_s * S - 1, limit=9) == []
    assert assembler.due(T0 + due_s * S, limit=9) == [uuid(1)]


def test_ages_count_from_receipt_and_never_from_a_clients_clock() -> None:
    assembler = filled(replace(started(), at_ns=0), replace(ended(), at_ns=T0 + 10**9 * S))

    assert assembler.due(T0 + 15 * S, limit=9) == [uuid(1)]


def test_no_more_than_the_limit_is_due_at_once_and_nothing_is_skipped() -> None:
    assembler = new_assembler()
    for number in range(1, 6):
        assembler.add(started(number))
        assembler.add(ended(number))

    found = [assembler.due(T0 + 15 * S, limit=2) for _ in range(4)]

    assert [len(some) for some in found] == [2, 2, 1, 0]
    assert {key for some in found for key in some} == {uuid(n) for n in range(1, 6)}


def test_active_counts_starts_without_an_end() -> None:
    assembler = filled(started(1), started(2), ended(3), ended(1))

    assembler.add(started(3))

    assert assembler.active() == {("anthropic", "claude-sonnet-4-5"): 1}


def test_callers_are_looked_up_within_one_user() -> None:
    assembler = filled(started(1), tool(1), started(2, initiator_id=BOB), tool(2), tool(3))

    found = [key for _, key in assembler.callers(BOB, "toolu_1")]

    assert found == [uuid(2)]


def test_a_forgotten_interception_asks_for_nothing_any_more() -> None:
    assembler = filled(*RECORDS)

    assembler.forget(uuid(1))

    assert assembler.callers(started().initiator_id, "toolu_1") == []
    assert len(assembler) == 0
