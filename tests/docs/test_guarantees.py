"""docs/guarantees.md promises what tests prove: every fault with its tests, every promise too."""

from __future__ import annotations

import re

import pytest

from tests.docs.guarantees import PAGE, written
from tests.faults import FAULTS, LATER, OUTCOMES

_TEXT = PAGE.read_text()
#: A promise: its heading, and what stands below it.
_PROMISES = dict(re.findall(r"^### (.+)\n((?:(?!^#).*\n)+)", _TEXT, re.MULTILINE))


def test_the_table_is_that_of_the_markers() -> None:
    assert written(_TEXT) == _TEXT, "run: python -m tests.docs.guarantees"


def test_every_fault_but_those_of_replicas_has_an_outcome() -> None:
    assert OUTCOMES.keys() == FAULTS.keys() - LATER


def test_there_are_seven_promises() -> None:
    assert len(_PROMISES) == 7


@pytest.mark.parametrize("promise", _PROMISES)
def test_a_promise_names_the_faults_that_were_tried_against_it_and_its_tests(promise: str) -> None:
    text = _PROMISES[promise]
    tried = re.search(r"^Tried by faults ([\d, ]+)", text, re.MULTILINE)

    assert tried
    assert {int(number) for number in tried[1].split(",")} <= OUTCOMES.keys()
    assert re.search(r"\]\(\.\./tests/", text)
