"""What becomes of a login when the bridge itself fails: its file, a lock, a bug."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from filelock import FileLock

from otelbridge.oauth.answers import NoAccess
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.tokens import AccessTokens
from tests.oauth.authorization_server import Reply
from tests.oauth.world import ALICE, Said

if TYPE_CHECKING:
    from tests.oauth.world import World


async def test_what_cannot_be_stored_is_not_asked_for(world: World) -> None:
    old = world.log_in(left_s=20)
    world.path.with_name("tokens.json.tmp").mkdir()  # nothing can be written there

    near = await world.acquire()
    world.clock.advance(20)
    ended = await world.acquire()

    assert near == old.access_token
    assert ended == NoAccess("unreadable", "OAuth2 tokens cannot be stored")
    assert world.authorization.requests == []
    assert world.link() == old


async def test_a_process_that_hangs_with_the_lock_of_the_file_holds_nobody_else_up(
    world: World,
) -> None:
    users = [UUID(int=number) for number in range(1, 41)]
    for user in users:
        world.log_in(user)
    fresh = world.log_in(ALICE, left_s=600)

    with FileLock(world.path.with_name("tokens.json.lock")):
        asked = [asyncio.create_task(world.acquire(user)) for user in users]
        with Said("filelock", "not acquired") as said:
            await said.wait()
        answer = await world.acquire(ALICE)

    assert answer == fresh.access_token
    assert all(world.is_good(each) for each in await asyncio.gather(*asked))


async def test_what_was_got_is_stored_as_soon_as_it_can_be(world: World) -> None:
    held, hindrance = asyncio.Event(), world.path.with_name("tokens.json.tmp")
    world.log_in()
    world.authorization.script("/token", Reply(after=held))
    waiting = asyncio.create_task(world.acquire())
    await world.authorization.wait_for(lambda s: s.count() == 1)

    hindrance.mkdir()
    with Said("otelbridge.oauth.refreshing", "cannot be stored") as said:
        held.set()
        await said.wait()
    assert not waiting.done()
    hindrance.rmdir()

    answer = await waiting
    assert world.is_good(answer)
    assert world.link().access_token == answer


@pytest.mark.parametrize("call", [1, 2])
async def test_a_bug_fails_one_answer_and_is_told_without_what_it_was_about(
    world: World, caplog: pytest.LogCaptureFixture, call: int
) -> None:
    calls, canary = iter(range(1, 100)), "CAN" + "ARY"

    def clock() -> int:
        if next(calls) == call:
            raise KeyError(canary)
        return world.clock()

    world.log_in()
    http = OAuthHttp(timeout_s=5, context=world.authority.client)
    tokens = AccessTokens(world.file, http, timeout_s=5, clock_ns=clock)

    failed = await tokens.acquire(world.server, ALICE)
    worked = await tokens.acquire(world.server, ALICE)
    await tokens.close(5)

    assert failed == NoAccess("failed", "internal error")
    assert world.is_good(worked)
    (message,) = [each for each in caplog.messages if each.startswith("MCP token: KeyError")]
    assert "otelbridge/oauth/tokens.py" in message
    assert canary not in caplog.text


async def test_a_bug_that_nobody_waits_for_any_more_is_told_too(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    is_broken, held, canary = False, asyncio.Event(), "CAN" + "ARY"

    def clock() -> int:
        if is_broken:
            raise KeyError(canary)
        return world.clock()

    world.log_in()
    world.authorization.script("/token", Reply(status=500, after=held))
    http = OAuthHttp(timeout_s=5, context=world.authority.client)
    tokens = AccessTokens(world.file, http, timeout_s=0.2, clock_ns=clock)

    answer = await tokens.acquire(world.server, ALICE)
    is_broken = True
    held.set()
    await tokens.close(5)
    gc.collect()  # what was not caught would be told by the event loop

    assert answer == NoAccess("timeout", "timed out after 0.2 s")
    (message,) = caplog.messages
    assert message.startswith("MCP token: KeyError")
    assert canary not in caplog.text
