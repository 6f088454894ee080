"""The faults that the bridge is built for, by number, and which test proves the outcome of each.

@fault(6)
async def test_a_server_that_asks_for_200_ms_gets_them() -> None: ...
"""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
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

#: What comes of each, as people are promised it.
OUTCOMES: Mapping[int, str] = MappingProxyType(
    {
        1: "replies are normal; what waited comes, the oldest first, and none is missing",
        2: (
            "it is tried for as long as that takes; over a destination's `max_bytes` content "
            "is given up first, then its oldest items, counted"
        ),
        3: (
            "each try has a time limit; the same is sent again with the same ids; replies do "
            "not wait"
        ),
        4: "one request at a time, nothing twice; the lag is seen to rise and to fall",
        5: "it is tried again after waits that double up to 30 s and vary by chance",
        6: "it is left alone for as long as it asks",
        7: "the request is split; what fits is delivered, what never will is a dead letter",
        8: "what was not taken is logged and counted with its reason, and not sent again",
        9: "the item is narrowed down to and becomes a dead letter; the rest is delivered",
        10: (
            "everything is kept and tried again; readiness and metrics say so; a changed "
            "header heals it"
        ),
        11: "each as the OTLP specification says; no redirect is followed",
        12: "the same spans come again with the same ids; no metric doubles",
        13: "the live one is current; the dead one's backlog has a limit of its own",
        14: (
            "nothing acknowledged is missing, nothing is invented, counts are exact; it "
            "starts again within 5 s"
        ),
        15: "it starts; what cannot be read is put aside, and what was lost is said; no loop",
        16: (
            "content is given up first, then the oldest items, counted; a call is refused "
            "only when nothing can be committed; it recovers by itself"
        ),
        17: (
            "nothing of that commit is acknowledged; the process ends with a status other "
            "than 0, and the next start reads what is there"
        ),
        18: (
            "callers share each sync: 256 of them have 2,000 replies a second at 50 ms a "
            "sync, 99 of 100 within 400 ms"
        ),
        19: (
            "calls that were received are answered, what can be delivered in time is, the "
            "rest is kept; exit status 0"
        ),
        20: "the second one ends and names the first",
        21: "one record, counted once, and OK both times",
        22: "the telemetry is the same, byte for byte",
        23: "it is told when it is old enough, and says what is missing",
        26: (
            "no duration is negative, no timer hangs; the time of receipt stands in, and is flagged"
        ),
        27: (
            "up to 16 MiB it is recorded, cut as the settings say, with its length and hash; "
            "over that the limit is named; memory stays bounded"
        ),
        28: "the call is refused as invalid, and counted",
        29: (
            "it is kept as content, and made safe where it becomes a name, a label or a line "
            "of the log"
        ),
        30: "the record is kept; keys that cannot be told are left out and counted",
        31: "that connection is closed; others do not notice",
        32: (
            "they are limited, in all and for each address; sessions that are there go on "
            "within a second"
        ),
        33: (
            "one answer for all wrong keys of gateways, the contract's texts for users'; no "
            "difference in time; guesses are limited; no key in the log"
        ),
        34: (
            "the last store that was right stays; its age is seen; a file that others can "
            "read is refused"
        ),
        35: "the old pair is used until the new one is whole",
        36: (
            "one refresh; the new token is on disk before anybody has it; a passing failure "
            "keeps the old; other servers' tokens come"
        ),
    }
)
#: Those of replicas: there are none yet.
LATER = frozenset({24, 25})

_TESTS = Path(__file__).parent
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def fault(number: int, *more: int) -> pytest.MarkDecorator:
    """Return a marker: this test proves what comes of these faults."""
    unknown = {number, *more} - FAULTS.keys()
    if unknown:
        raise ValueError(f"there is no fault {sorted(unknown)}")
    return pytest.mark.fault(number, *more)


@cache
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
    return dict(found)


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
