from __future__ import annotations

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


def test_what_is_too_large_is_halved_in_rows_and_in_bytes() -> None:
    size = BatchSize()

    size.too_large(ROWS[:100])

    assert (size.rows, size.max_bytes) == (50, 5000)


def test_the_limit_of_bytes_grows_slowly_because_the_server_has_one() -> None:
    size = BatchSize()
    size.too_large(ROWS[:100])

    size.taken(ROWS[:50])
    after_one = size.max_bytes
    for _ in range(100):
        size.taken(ROWS[:50])

    assert after_one == 6251
    assert size.max_bytes == MAX_BYTES
