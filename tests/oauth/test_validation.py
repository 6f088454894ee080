"""Tokens are tried where they are used, if the store file says where."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from otelbridge.oauth.answers import NoAccess
from tests.oauth.authorization_server import Reply
from tests.oauth.world import ALICE, with_auth

if TYPE_CHECKING:
    from otelbridge.domain.access import McpServer, Secret
    from tests.oauth.world import World

USER = "/user"


def tried(world: World) -> McpServer:
    return with_auth(world.server, validate_url=world.authorization.url(USER))


async def acquire(world: World) -> Secret | NoAccess:
    return await world.tokens.acquire(tried(world), ALICE)


async def test_a_valid_token_is_handed_out(world: World) -> None:
    link = world.log_in(left_s=600)

    assert await acquire(world) == link.access_token

    (request,) = world.authorization.requests
    assert request.path == USER
    assert request.headers["authorization"] == f"Bearer {link.access_token.reveal()}"


async def test_fifty_batches_try_a_token_once(world: World) -> None:
    # One thread: when a function has run in it, so have those that were there before.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    link, held = world.log_in(left_s=600), asyncio.Event()
    world.authorization.script(USER, Reply(status=200, after=held))

    asked = [asyncio.create_task(acquire(world)) for _ in range(50)]
    await asyncio.sleep(0)
    await asyncio.to_thread(int)
    held.set()

    assert set(await asyncio.gather(*asked)) == {link.access_token}
    assert world.authorization.count(USER) == 1


async def test_a_token_that_was_revoked_is_refreshed(world: World) -> None:
    link = world.log_in(left_s=600)
    del world.authorization.validator.access_tokens[link.access_token.reveal()]

    answer = await acquire(world)

    assert world.is_good(answer)
    assert answer == world.link().access_token
    assert [request.path for request in world.authorization.requests] == [USER, "/token"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=401),
        Reply(status=403),
        Reply(status=403, headers={"x-ratelimit-remaining": "4999"}),
    ],
)
async def test_a_refused_token_is_not_handed_out_even_if_it_cannot_be_refreshed(
    world: World, reply: Reply
) -> None:
    world.log_in(left_s=600)
    world.authorization.script(USER, reply)
    world.authorization.script("/token", Reply(status=503))

    answer = await acquire(world)

    assert isinstance(answer, NoAccess)
    assert answer.outcome == "failed"


async def test_a_server_that_refuses_fresh_tokens_has_no_new_one_with_each_call(
    world: World,
) -> None:
    world.log_in(left_s=600)
    world.authorization.script(USER, *[Reply(status=401)] * 10)

    answers = [await acquire(world) for _ in range(4)]
    world.clock.advance(60)
    later = await acquire(world)

    assert world.is_good(answers[0])
    assert answers[1:] == [NoAccess("expired", "expired or invalid OAuth2 token")] * 3
    assert world.is_good(later)
    assert world.authorization.count() == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=204),
        Reply(status=302, headers={"location": "/login"}),
        Reply(status=403, headers={"x-ratelimit-remaining": "0"}),
        Reply(status=403, headers={"ratelimit-remaining": "0"}),
        Reply(status=403, headers={"retry-after": "60"}),
        Reply(status=404),
        Reply(status=429),
        Reply(status=500),
        Reply(status=200, body=b"x" * (1024 * 1024 + 1)),
    ],
)
async def test_what_says_nothing_about_the_token_leaves_it_valid(
    world: World, reply: Reply
) -> None:
    link = world.log_in(left_s=600)
    world.authorization.script(USER, reply)

    assert await acquire(world) == link.access_token
    assert world.authorization.count() == 0


async def test_a_server_that_hangs_or_is_gone_leaves_tokens_valid_within_the_limit(
    world: World,
) -> None:
    link = world.log_in(left_s=600)
    world.authorization.script(USER, Reply(never=True))
    gone = with_auth(world.server, validate_url="https://127.0.0.1:1/user")
    hurried = world.another(timeout_s=0.4)

    assert await hurried.acquire(tried(world), ALICE) == link.access_token
    assert await hurried.acquire(gone, ALICE) == link.access_token


async def test_many_users_of_a_server_that_hangs_have_their_tokens_in_time(world: World) -> None:
    users = [UUID(int=number) for number in range(1, 41)]
    links = {world.log_in(user, left_s=600).access_token for user in users}
    world.authorization.script(USER, *[Reply(never=True)] * len(users))
    hurried = world.another(timeout_s=1.0)

    answers = await asyncio.gather(*(hurried.acquire(tried(world), user) for user in users))

    assert set(answers) == links
    assert world.authorization.count(USER) < len(users)  # so many at a time are not tried


async def test_an_expired_token_is_not_tried(world: World) -> None:
    world.log_in()

    assert world.is_good(await acquire(world))

    assert [request.path for request in world.authorization.requests] == ["/token"]
