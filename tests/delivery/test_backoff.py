from __future__ import annotations

import pytest

from otelbridge.delivery.backoff import Backoff
from otelbridge.delivery.timing import Timing


def backoff(chance: float) -> Backoff:
    return Backoff(Timing(random=lambda: chance))


def test_waits_double_up_to_30_seconds() -> None:
    waits = backoff(1.0)

    assert [waits.next_delay_s() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_chance_takes_up_to_half_of_a_wait() -> None:
    waits = backoff(0.0)

    assert [waits.next_delay_s() for _ in range(3)] == [0.25, 0.5, 1.0]


def test_a_success_makes_the_next_wait_short_again() -> None:
    waits = backoff(1.0)
    for _ in range(5):
        waits.next_delay_s()

    waits.reset()

    assert waits.next_delay_s() == 0.5


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_server_that_asks_for_200_ms_gets_them_and_less_than_a_second(chance: float) -> None:
    assert 0.2 <= backoff(chance).next_delay_s(0.2) < 1


def test_a_server_that_asks_for_a_year_is_asked_again_after_five_minutes() -> None:
    assert backoff(0.0).next_delay_s(365 * 86400.0) == 300
