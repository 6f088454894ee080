"""The list of faults and the tests that prove what comes of them agree."""

from __future__ import annotations

import pytest

from tests.faults import FAULTS, LATER, fault, proofs


def test_a_fault_that_is_not_listed_has_no_marker() -> None:
    with pytest.raises(ValueError, match=r"there is no fault \[0, 99\]"):
        fault(1, 99, 0)


def test_markers_are_found_at_tests_and_at_their_parameters() -> None:
    found = proofs()

    assert found.keys() <= FAULTS.keys()
    assert any("test_a_day_without_a_collector" in test for test in found[2])
    assert all(test.startswith("tests/") and "::test_" in test for test in found[2])


@pytest.mark.parametrize("number", sorted(FAULTS.keys() - LATER))
def test_every_fault_has_its_proof(number: int) -> None:
    assert proofs().get(number)


def test_a_fault_that_comes_later_has_no_proof_yet() -> None:
    assert not LATER & proofs().keys()
