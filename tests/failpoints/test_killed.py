"""A bridge under load is killed at each point of a record's way: nothing acknowledged is missing.

The refresh of a token has its own points: tests/oauth/test_processes.py.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from tests.collector import Collector
from tests.disk import SimulatedDisk
from tests.failpoints.killing import Killing, check
from tests.failpoints.points import POINTS, VICTIMS, environment
from tests.faults import fault
from tests.soak import turns

#: Of one commit there are more moments than one.
MOMENTS = {"in_commit": 15, "in_checkpoint": 5}


def number_of(point: str, turn: int) -> int:
    """Return at which time that a process comes to a point it is killed."""
    return random.Random(f"{turn} {point}").randint(5, 15) * MOMENTS.get(point, 1)


@fault(14)
@pytest.mark.timeout(0)  # each step has its own deadline
async def test_killed_at_each_point_it_starts_again_and_has_everything(tmp_path: Path) -> None:
    """Each point once, with one victim each; in a long run with each, many times."""
    with SimulatedDisk():
        pass  # skips the test where a disk cannot be simulated
    for turn in turns():
        folder = tmp_path / str(turn)
        async with Collector() as collector:
            killing = Killing(folder, collector)
            for place, point in enumerate(POINTS):
                victim = VICTIMS[(place + turn) % len(VICTIMS)]
                await killing.kill(point, victim, number_of(point, turn))
            books, totals = await killing.settle()

        check(killing, collector, books, totals)
        assert len(killing.gateways.acknowledged) > 10 * len(POINTS)


@pytest.mark.parametrize(("point", "status"), [("in_commit", 0), ("nowhere", 70)])
async def test_a_failpoint_that_is_not_there_any_more_ends_the_program(
    point: str, status: int
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "pass"),
        env={**os.environ, **environment(point, "both", 1)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()

    assert process.returncode == status
    assert status == 0 or b"there is no point nowhere" in errors
