"""The faults that the bridge is built for, by number, and which test proves the outcome of each.

@fault(6)
async def test_a_server_that_asks_for_200_ms_gets_them() -> None: ...
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What goes wrong.
FAULTS: Mapping[int, str] = MappingProxyType(
    {
        1: "a collector is down at the start and comes up later",
        2: "a collector is down for a day",
        3: "a collector accepts and never answers",
        4: "a collector is slow, then normal",
        5: "a collector is unavailable several times",
        6: "a collector asks for a pause (RetryInfo)",
        7: "a request is too large",
        8: "a collector takes a part of a request (partial success)",
        9: "a collector refuses a batch for one item in it",
        10: "a collector does not accept the credentials",
        11: "an HTTP collector answers with each status that OTLP knows, or with a page",
        12: "a connection is cut after the collector got the request",
        13: "one of two destinations is dead",
        14: "the process is killed at each point of a record's way",
        15: "the journal's files are torn, flipped, cut or empty",
        16: "the disk is full while a collector is down",
        17: "an fsync fails",
        18: "the disk is slow",
        19: "the process is told to stop with a backlog",
        20: "two processes use one journal",
        21: "a call is made twice",
        22: "records come in any order",
        23: "a start comes without an end, or an end without a start",
        24: "a replica is killed",
        25: "the shared journal's server is down",
        26: "a clock jumps, or a timestamp is absurd",
        27: "a prompt is as large as it may be, or larger",
        28: "text is not UTF-8",
        29: "text holds what is unfit for names, labels and logs",
        30: "metadata is large, deep or of an unknown type",
        31: "a port receives garbage",
        32: "there are too many connections, or too slow ones",
        33: "keys are wrong, unknown, malformed, expired, suspended or guessed",
        34: "the store file is half written, invalid, readable by others, deleted or swapped",
        35: "certificates and keys are rotated, and do not match for a while",
        36: "tokens expire while many ask for them",
    }
)

_TESTS = Path(__file__).parent
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def fault(number: int, *more: int) -> pytest.MarkDecorator:
    """Return a marker: this test proves what comes of these faults."""
    unknown = {number, *more} - FAULTS.keys()
    if unknown:
        raise ValueError(f"there is no fault {sorted(unknown)}")
    return pytest.mark.fault(number, *more)


def proofs() -> Mapping[int, list[str]]:
    """Return the tests of each fault, as ``path::name``, from the tests' own files.

    A marker on a class or in ``pytestmark`` is not seen: it stands at the test,
    or at one of its parameters.
    """
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted(_TESTS.rglob("test_*.py")):
        for test in _tests(path):
            for number in _numbers(test):
                found[number].append(f"{path.relative_to(_TESTS.parent)}::{test.name}")
    return found


def _tests(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, _FUNCTIONS) and node.name.startswith("test_"):
            yield node


def _numbers(test: ast.FunctionDef | ast.AsyncFunctionDef) -> list[int]:
    """Return the numbers in a test's own markers and in those of its parameters."""
    calls = [node for each in test.decorator_list for node in ast.walk(each)]
    numbers = {
        argument.value
        for node in calls
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "fault"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, int)
    }
    return sorted(numbers)
