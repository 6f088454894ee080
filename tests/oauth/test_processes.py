"""Several processes share tokens.json, and one may be killed at any step."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from otelbridge.oauth.answers import NoAccess
from tests.faults import fault
from tests.oauth.authorization_server import Reply
from tests.oauth.world import ALICE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from otelbridge.store.tokens import Link
    from tests.oauth.world import World

ROOT = Path(__file__).parents[2]
EXPIRED = NoAccess("expired", "expired or invalid OAuth2 token")


class Victim:
    """The process of `tests.oauth.victim`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self, step: int = 0) -> int:
        """Let it ask for the token; return the process id of who asks."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{step}\n".encode())
        return int(await self.line())

    async def run(self, step: int = 0) -> str:
        """Let it ask for the token; return "killed" or the hash of what it was told."""
        await self.begin(step)
        return await self.line()

    async def line(self) -> str:
        """Return its next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            return (await self._process.stdout.readline()).decode().strip()


@asynccontextmanager
async def victim(world: World) -> AsyncIterator[Victim]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.oauth.victim",
        str(world.path),
        world.authorization.url("/token"),
        str(world.authority.path),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Victim(process)
    finally:
        process.kill()
        await process.wait()


def hash_of(link: Link) -> str:
    return hashlib.sha256(link.access_token.reveal().encode()).hexdigest()


async def came_to(world: World, old: Link) -> str:
    """Check what a killed refresh left, and what becomes of it; return which case it is."""
    assert world.path.stat().st_mode & 0o777 == 0o600
    assert old.refresh_token is not None
    is_spent = old.refresh_token.reveal() in world.authorization.validator.spent
    left, asked = world.link(), world.authorization.count()

    answer = await world.another().acquire(world.server, ALICE)

    if not left.is_same_login(old):
        assert answer == left.access_token
        assert left.refresh_began_ns is None
        assert world.authorization.count() == asked
        return "stored"
    if not is_spent:
        assert world.is_good(answer)
        assert answer == world.link().access_token
        return "not begun" if left.refresh_began_ns is None else "begun"
    assert answer == EXPIRED
    assert left.refresh_began_ns is not None
    broken = world.link().broken
    assert broken is not None
    assert broken.reason.startswith("an interrupted refresh used the refresh token up: ")
    return "lost"


@fault(14, 36)
async def test_a_refresh_that_is_killed_before_any_of_its_steps_loses_only_what_must_be(
    world: World,
) -> None:
    cases: list[str] = []
    async with victim(world) as process:
        for step in range(1, 100):
            old = world.log_in()
            if await process.run(step) != "killed":
                break
            cases.append(await came_to(world, old))

    order = ["not begun", "begun", "lost", "stored"]
    assert sorted(cases, key=order.index) == cases
    assert set(Counter(cases)) == set(order)


@fault(14, 36)
async def test_a_process_that_is_killed_while_the_server_has_not_taken_the_request_loses_nothing(
    world: World,
) -> None:
    old = world.log_in()
    world.authorization.script("/token", Reply(never=True))

    async with victim(world) as process:
        pid = await process.begin()
        await world.authorization.wait_for(lambda s: s.count() == 1)
        os.kill(pid, signal.SIGKILL)
        assert await process.line() == "killed"

    assert await came_to(world, old) == "begun"


@fault(14, 36)
async def test_a_process_that_is_killed_after_the_server_took_the_request_has_lost_the_login(
    world: World,
) -> None:
    old, held = world.log_in(), asyncio.Event()
    world.authorization.script("/token", Reply(after=held))

    async with victim(world) as process:
        pid = await process.begin()
        await world.authorization.wait_for(lambda s: bool(s.validator.spent))
        os.kill(pid, signal.SIGKILL)
        assert await process.line() == "killed"

    assert await came_to(world, old) == "lost"


@fault(36)
async def test_the_lock_of_a_killed_process_holds_nobody_up(world: World) -> None:
    old = world.log_in()
    world.authorization.script("/token", Reply(never=True))

    async with victim(world) as process:
        pid = await process.begin()
        await world.authorization.wait_for(lambda s: s.count() == 1)
        waiting = asyncio.create_task(world.acquire())
        os.kill(pid, signal.SIGKILL)

        assert world.is_good(await waiting)

    assert not world.link().is_same_login(old)


@fault(36)
async def test_processes_that_share_a_file_refresh_once(world: World) -> None:
    held = asyncio.Event()
    world.log_in()
    world.authorization.script("/token", Reply(after=held))

    async with victim(world) as one, victim(world) as two:
        asked = asyncio.create_task(world.acquire())
        await world.authorization.wait_for(lambda s: s.count() == 1)
        for each in (one, two):
            await each.begin()
            assert await each.line() == "waits"
        held.set()
        told_one, told_two, told = await asyncio.gather(one.line(), two.line(), asked)

    stored = world.link()
    assert told_one == told_two == hash_of(stored)
    assert told == stored.access_token
    assert stored.refresh_began_ns is None
    assert world.authorization.count() == 1


async def test_a_login_by_another_process_is_used_at_once(world: World) -> None:
    world.log_in(left_s=600)
    await world.acquire()

    newer = {"github": {str(ALICE): {"access_token": "AT-by-another"}}}
    await asyncio.to_thread(world.path.write_text, json.dumps(newer))

    assert await world.acquire() == world.link().access_token
    assert world.link().access_token.reveal() == "AT-by-another"


async def test_what_others_keep_in_the_file_survives_a_refresh(world: World) -> None:
    world.log_in()
    document = json.loads(world.path.read_text())
    document["github"] |= {"nobody": {"theirs": 1}}
    document["github"][str(ALICE)]["note"] = "kept"
    world.path.write_text(json.dumps(document))

    assert world.is_good(await world.acquire())

    after = json.loads(world.path.read_text())["github"]
    assert after["nobody"] == {"theirs": 1}
    assert after[str(ALICE)]["note"] == "kept"
