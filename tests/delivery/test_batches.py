from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.delivery.batches import MAX_BYTES, MAX_ROWS, BatchSize
from otelbridge.domain.ports import OutboxRow

ROWS = [OutboxRow(seq, 1, b"x" * 100) for seq in range(1, MAX_ROWS + 1)]


@given(poison=st.integers(0, MAX_ROWS - 1))
def test_a_refused_row_is_found_in_ten_requests(poison: int) -> None:
    size, start, requests = BatchSize(), 0, 0

    while (batch := ROWS[start : start + size.rows]) != [ROWS[poison]]:
        requests += 1
        if ROWS[poison] in batch:
            size.refused(batch)
        else:
            size.taken(batch)
            start += len(batch)

    assert requests <= 10


def test_batches_grow_again_once_the_refused_row_is_gone() -> None:
    size = BatchSize()
    size.refused(ROWS[:2])
    size.buried()

    sizes = []
    for _ in range(10):
        size.taken(ROWS[: size.rows])
        sizes.append(size.rows)

    assert sizes == [2, 4, 8, 16, 32, 64, 128, 256, 512, 512]


@pytest.mark.parametrize(("is_certain", "rows"), [(True, MAX_ROWS), (False, 50)])
def test_what_is_too_large_is_halved_in_bytes_and_if_that_is_not_certain_in_rows(
    is_certain: bool, rows: int
) -> None:
    size = BatchSize()

    size.too_large(ROWS[:100], is_certain=is_certain)

    assert (size.rows, size.max_bytes) == (rows, 5000)


def test_a_servers_limit_is_approached_fast_and_then_slowly() -> None:
    size = BatchSize()
    size.too_large(ROWS[:100], is_certain=True)

    limits = []
    for _ in range(120):
        size.taken(ROWS[:50])
        limits.append(size.max_bytes)

    assert limits[:3] == [6251, 7814, 9026]
    assert limits[100] < 10_000 < limits[119]


def test_a_limit_that_was_none_is_forgotten() -> None:
    size = BatchSize()
    size.too_large(ROWS[:100], is_certain=False)

    for _ in range(100):
        size.taken(ROWS[:50])

    assert size.max_bytes == MAX_BYTES


@pytest.mark.parametrize(
    ("rows", "expected"), [(ROWS, True), (ROWS[:-1], False), (ROWS[:1], False)]
)
def test_a_batch_is_full_if_more_may_wait_behind_it(rows: list[OutboxRow], expected: bool) -> None:
    assert BatchSize().is_full(rows) is expected
    assert BatchSize().is_full([OutboxRow(1, 1, bytes(MAX_BYTES // 2 + 1))])
