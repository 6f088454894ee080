"""Access tokens, from links to answers, with a real authorization server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from otelbridge.domain.access import McpServer, Secret, StaticAuth
from otelbridge.oauth.answers import NoAccess
from tests.faults import fault
from tests.oauth.authorization_server import Reply
from tests.oauth.world import ALICE, BOB, Said, with_auth

if TYPE_CHECKING:
    from tests.oauth.world import World

TIMED_OUT = NoAccess("timeout", "timed out after 0.2 s")
EXPIRED = NoAccess("expired", "expired or invalid OAuth2 token")
NO_LINK = NoAccess("no_link", "no external auth link found")


async def test_who_needs_no_login_is_answered_at_once(world: World) -> None:
    static = StaticAuth(tokens={ALICE: Secret("own")})
    docs = McpServer(id="docs", url="https://docs.example.com", auth=static)
    plain = McpServer(id="open", url="https://open.example.com")

    assert await world.tokens.acquire(None, ALICE) == ("no_server", "no MCP config found")
    assert await world.tokens.acquire(plain, ALICE) == Secret("")
    assert await world.tokens.acquire(docs, ALICE) == Secret("own")
    assert await world.tokens.acquire(docs, BOB) == NO_LINK
    assert await world.acquire() == NO_LINK


@pytest.mark.parametrize("left_s", [None, 30.1])
async def test_a_token_that_has_not_ended_is_handed_out_as_it_is(
    world: World, left_s: float | None
) -> None:
    link = world.log_in(left_s=left_s)

    assert await world.acquire() == link.access_token
    assert world.authorization.requests == []


async def test_a_token_that_ends_within_thirty_seconds_is_refreshed_and_the_pair_stored(
    world: World,
) -> None:
    old = world.log_in(left_s=30)

    answer = await world.acquire()

    stored = world.link()
    assert world.is_good(answer)
    assert answer == stored.access_token != old.access_token
    assert stored.refresh_token != old.refresh_token
    assert stored.expires_at_ns == world.clock() + 3600 * 10**9
    assert stored.refresh_began_ns is None
    assert stored.scopes == ("repo",)


@fault(36)
async def test_fifty_batches_at_expiry_make_one_refresh(world: World) -> None:
    world.log_in()

    answers = await asyncio.gather(*(world.acquire() for _ in range(50)))

    assert set(answers) == {world.link().access_token}
    assert world.authorization.count() == 1


async def test_every_user_has_a_refresh_of_their_own(world: World) -> None:
    world.log_in(ALICE)
    world.log_in(BOB)

    answers = await asyncio.gather(*(world.acquire(user) for user in (ALICE, BOB) * 20))

    assert set(answers) == {world.link(ALICE).access_token, world.link(BOB).access_token}
    assert world.authorization.count() == 2


@fault(36)
async def test_the_new_pair_is_on_disk_before_anybody_is_told(world: World) -> None:
    world.log_in()

    answer = await world.acquire()

    # Nothing ran in between: what the file says is what it said when the answer came.
    assert world.link().access_token == answer


async def test_a_refresh_that_outlives_the_time_limit_goes_on_and_is_stored(world: World) -> None:
    old, held = world.log_in(), asyncio.Event()
    world.authorization.script("/token", Reply(after=held))
    hurried = world.another(timeout_s=0.2)

    assert await hurried.acquire(world.server, ALICE) == TIMED_OUT
    held.set()
    await hurried.close(10.0)

    assert world.link().refresh_token != old.refresh_token
    assert world.is_good(await world.acquire())
    assert world.authorization.count() == 1


async def test_who_asks_again_meanwhile_waits_for_the_same_refresh(world: World) -> None:
    held = asyncio.Event()
    world.log_in()
    world.authorization.script("/token", Reply(after=held))
    asked = [asyncio.create_task(world.acquire()) for _ in range(2)]
    await world.authorization.wait_for(lambda s: s.count() == 1)

    asked.append(asyncio.create_task(world.acquire()))
    asked[0].cancel()
    held.set()

    assert {await each for each in asked[1:]} == {world.link().access_token}
    assert world.authorization.count() == 1


@fault(36)
async def test_a_server_that_hangs_delays_no_other(world: World) -> None:
    world.log_in()
    world.log_in(server_id="gitlab")
    world.authorization.script("/token", Reply(never=True))
    hurried = world.another(timeout_s=0.2)
    hanging = asyncio.create_task(hurried.acquire(world.server, ALICE))
    await world.authorization.wait_for(lambda s: s.count() == 1)

    gitlab = McpServer(id="gitlab", url=world.server.url, auth=world.server.auth)
    quick = await hurried.acquire(gitlab, ALICE)

    assert world.is_good(quick)
    assert await hanging == TIMED_OUT
    await hurried.close(0)


@fault(36)
async def test_an_answer_without_a_refresh_token_keeps_the_old_one(world: World) -> None:
    old = world.log_in()
    body = b'{"access_token": "new", "token_type": "bearer", "scope": "a b"}'
    world.authorization.script("/token", Reply(status=200, body=body))

    assert await world.acquire() == Secret("new")

    stored = world.link()
    assert stored.refresh_token == old.refresh_token
    assert (stored.expires_at_ns, stored.scopes) == (None, ("a", "b"))


async def test_a_login_that_was_replaced_meanwhile_stands(world: World) -> None:
    held = asyncio.Event()
    world.log_in()
    world.authorization.script("/token", Reply(after=held))
    waiting = asyncio.create_task(world.acquire())
    await world.authorization.wait_for(lambda s: s.count() == 1)

    newer = world.log_in(left_s=600)
    at_once = await world.acquire()
    held.set()

    assert at_once == newer.access_token
    assert await waiting == newer.access_token
    assert world.link() == newer


async def test_a_login_that_ended_meanwhile_does_not_come_back(world: World) -> None:
    held = asyncio.Event()
    world.log_in()
    world.authorization.script("/token", Reply(after=held))
    waiting = asyncio.create_task(world.acquire())
    await world.authorization.wait_for(lambda s: s.count() == 1)

    world.file.update("github", ALICE, lambda _: None)
    held.set()

    assert await waiting == NO_LINK
    assert world.file.read() == {}


async def test_other_settings_count_from_the_next_call_on(world: World) -> None:
    world.log_in()
    wrong = with_auth(world.server, client_id="stranger")

    refused = await world.tokens.acquire(wrong, ALICE)
    accepted = await world.acquire()

    assert isinstance(refused, NoAccess)
    assert refused.outcome == "refused"
    assert "invalid_client" in refused.text
    assert world.is_good(accepted)


async def test_what_was_got_is_stored_even_if_nobody_may_wait_for_it(world: World) -> None:
    old, held = world.log_in(), asyncio.Event()
    world.authorization.script("/token", Reply(after=held))
    hurried = world.another(timeout_s=0.2)
    assert await hurried.acquire(world.server, ALICE) == TIMED_OUT

    with FileLock(world.path.with_name("tokens.json.lock")):
        with Said("filelock", "not acquired") as said:
            held.set()
            await said.wait()
        await hurried.close(0)

    async with asyncio.timeout(10), world.file.refreshing("github", ALICE, timeout_s=10):
        while world.link().is_same_login(old):
            await asyncio.to_thread(world.file.update, "github", BOB, lambda link: link)
