"""Slow, greedy and broken peers, all at once: others are answered as ever."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otelbridge.proto import aibridged_pb2 as pb
from tests.commands.programs import environment
from tests.faults import fault
from tests.transports.gateway.attackers import ATTACKS, PROVIDERS
from tests.transports.gateway.worlds import BUDGET, OTHER_KEY, PATIENCE_S, World, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def _attacked(world: World, *names: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Attack from another process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.transports.gateway.attackers", str(world.port), *names),
        cwd=ROOT,
        env=environment(),
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        assert process.stdout
        assert await process.stdout.readline() == b"attacking\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@fault(31, 32)
@pytest.mark.parametrize(
    "names",
    [
        ("drips", "opens_streams", "floods", "never_reads"),
        ("breaks_the_rules", "guesses", "knocks"),
    ],
    ids=["greedy and slow", "broken and many"],
)
async def test_others_are_answered_within_a_second(names: tuple[str, ...]) -> None:
    answer = pb.GetAIProvidersResponse(providers=[pb.AIProvider(name="x" * 200_000)])

    async def providers(_request: Any, _call: Any) -> Any:
        return answer

    took: list[float] = []
    loop = asyncio.get_running_loop()
    async with (
        running({PROVIDERS: providers}, max_held_bytes=16_000_000) as world,
        world.dial(OTHER_KEY) as client,
        _attacked(world, *names) as attackers,
    ):
        for _ in range(200):
            began = loop.time()
            assert await client.call(BUDGET, b"") == ("OK", "")
            took.append(loop.time() - began)
            assert world.budget.free >= 0
            await asyncio.sleep(0.005)
        async with asyncio.timeout(2 * PATIENCE_S):
            await attackers.communicate(b"")  # the end of its input

    assert attackers.returncode == 0
    assert sorted(took)[len(took) * 99 // 100] < 1.0


def test_every_attack_is_made() -> None:
    [mark] = [
        mark
        for mark in test_others_are_answered_within_a_second.pytestmark  # type: ignore[attr-defined]  # pytest's
        if mark.name == "parametrize"
    ]
    assert {name for names in mark.args[1] for name in names} == ATTACKS.keys()
