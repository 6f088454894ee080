"""How the gateways' memory is shared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otelbridge.transports.gateway.budget import Budget

NAMES = "abcd"
_steps = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 60), st.booleans()))


def _fill(budget: Budget, name: str) -> int:
    """Take as much as there is; return how much it was."""
    while budget.share(name).take(1):
        pass
    return budget.share(name).held


def test_one_gateway_has_half_and_each_greedy_one_leaves_room_for_another() -> None:
    budget = Budget(1200)

    assert [_fill(budget, name) for name in NAMES] == [600, 300, 150, 75]
    assert budget.share("e").take(30)


def test_what_is_too_much_is_not_taken_at_all() -> None:
    budget = Budget(100)

    assert not budget.share("a").take(51)
    assert (budget.free, budget.share("a").held) == (100, 0)


@given(_steps)
def test_what_is_held_and_what_is_free_are_everything(steps: list[tuple[str, int, bool]]) -> None:
    budget = Budget(200)
    for name, size, is_taken in steps:
        share = budget.share(name)
        if is_taken:
            before = budget.free, share.held
            if not share.take(size):
                assert (budget.free, share.held) == before
        else:
            share.give_back(min(size, share.held))

        assert budget.free + sum(budget.share(each).held for each in NAMES) == 200
        assert min(budget.free, *(budget.share(each).held for each in NAMES)) >= 0
