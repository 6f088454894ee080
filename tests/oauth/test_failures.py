"""What becomes of a login when the authorization server refuses, fails or talks nonsense."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from otelbridge.domain.access import Grant, McpServer, OAuth2Auth, Secret
from otelbridge.oauth.answers import NoAccess
from tests.faults import fault
from tests.oauth.authorization_server import METADATA, Authority, AuthorizationServer, Reply
from tests.oauth.validator import Client
from tests.oauth.world import ALICE, BOB, with_auth

if TYPE_CHECKING:
    from pathlib import Path

    from tests.oauth.world import World

EXPIRED = NoAccess("expired", "expired or invalid OAuth2 token")
HUGE = b'{"access_token": "' + b"x" * 1024 * 1024 + b'"}'
PASSING = [
    Reply(status=429, headers={"retry-after": "1"}),
    Reply(status=408),
    Reply(status=500),
    Reply(status=503, body=b"<html>down</html>"),
    Reply(status=400, body=b'{"error": "temporarily_unavailable"}'),
    Reply(status=200, body=b"<html>log in</html>"),
    Reply(status=200, body=b'{"access_token": 5}'),
    Reply(status=200, body=b'{"access_token": "a", "token_type": "DPoP"}'),
    Reply(status=200, body=HUGE),
    Reply(status=200, body=b"{}", headers={"content-encoding": "gzip"}),
    Reply(status=307, headers={"location": "/elsewhere"}),
]
PASSING_IDS = [
    "429", "408", "500", "503", "in words", "garbage", "no token", "bound token", "huge",
    "compressed", "redirect",
]  # fmt: skip


@fault(36)
@pytest.mark.parametrize("reply", PASSING, ids=PASSING_IDS)
async def test_a_passing_failure_leaves_the_login_and_hands_out_what_has_not_ended(
    world: World, reply: Reply
) -> None:
    old = world.log_in(left_s=20)
    world.authorization.script("/token", reply)

    assert await world.acquire() == old.access_token

    stored = world.link()
    assert stored.is_same_login(old)
    assert stored.broken is None
    world.clock.advance(2)
    assert world.is_good(await world.acquire())


@pytest.mark.parametrize("reply", PASSING, ids=PASSING_IDS)
async def test_a_passing_failure_is_told_once_the_token_has_ended(
    world: World, reply: Reply
) -> None:
    world.log_in()
    world.authorization.script("/token", reply)

    answer = await world.acquire()

    assert isinstance(answer, NoAccess)
    assert answer.outcome == "failed"
    assert answer.text.startswith(f"{world.authorization.url('/token')}: ")
    assert len(answer.text) <= 400


async def test_a_token_endpoint_that_cannot_be_reached_is_told(world: World) -> None:
    world.log_in()
    server = with_auth(world.server, token_url="https://127.0.0.1:1/token")

    answer = await world.tokens.acquire(server, ALICE)

    assert isinstance(answer, NoAccess)
    assert answer.text.startswith("https://127.0.0.1:1/token: ")


async def test_a_token_endpoint_of_an_unknown_authority_is_sent_nothing(
    world: World, tmp_path: Path
) -> None:
    world.log_in()

    async with AuthorizationServer(Authority(tmp_path).server) as stranger:
        server = with_auth(world.server, token_url=stranger.url("/token"))
        answer = await world.tokens.acquire(server, ALICE)

    assert isinstance(answer, NoAccess)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.text
    assert stranger.requests == []


@fault(36)
async def test_a_login_that_is_over_is_broken_and_the_server_not_asked_again(
    world: World,
) -> None:
    world.log_in()
    world.authorization.validator.refresh_tokens.clear()

    answers = [await world.acquire() for _ in range(3)]

    assert answers == [EXPIRED] * 3
    assert world.authorization.count() == 1
    broken = world.link().broken
    assert broken is not None
    assert "invalid_grant" in broken.reason
    assert (broken.since_ns, broken.settings) == (world.clock(), "")
    assert world.link().refresh_began_ns is None


async def test_a_broken_link_works_again_after_a_login(world: World) -> None:
    world.log_in()
    world.authorization.validator.refresh_tokens.clear()
    assert await world.acquire() == EXPIRED

    newer = world.log_in(left_s=600)

    assert await world.acquire() == newer.access_token


async def test_a_broken_link_is_logged_once_with_its_reason(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.log_in()
    world.authorization.validator.refresh_tokens.clear()

    with caplog.at_level(logging.INFO, "otelbridge"):
        await world.acquire()
        await world.acquire()

    (message,) = caplog.messages
    assert message.startswith(f"MCP server github: the login of user {ALICE} is broken: https://")
    assert message.endswith("status 400: invalid_grant")


async def test_a_refusal_with_the_status_of_a_success_is_one(world: World) -> None:
    world.log_in()
    body = b'{"error": "bad_refresh_token", "error_description": "passed or expired"}'
    world.authorization.script("/token", Reply(status=200, body=body))

    assert await world.acquire() == EXPIRED
    broken = world.link().broken
    assert broken is not None
    assert broken.reason.endswith("status 200: bad_refresh_token: passed or expired")


async def test_a_wrong_client_secret_breaks_links_until_it_is_corrected(world: World) -> None:
    world.log_in()
    world.authorization.validator.clients["bridge"] = Client(secret="right")
    wrong = with_auth(world.server, client_secret=Secret("wrong"))
    right = with_auth(world.server, client_secret=Secret("right"))

    refused = [await world.tokens.acquire(wrong, ALICE) for _ in range(2)]

    assert refused[0] == refused[1]
    assert isinstance(refused[0], NoAccess)
    assert refused[0].outcome == "refused"
    assert "status 401: invalid_client" in refused[0].text
    assert world.authorization.count() == 1
    assert world.is_good(await world.tokens.acquire(right, ALICE))


@pytest.mark.parametrize(
    ("methods", "is_basic"),
    [
        (("client_secret_basic", "client_secret_post"), True),
        (("client_secret_basic",), True),
        (("client_secret_post",), False),
    ],
)
async def test_a_secret_is_sent_as_the_discovered_server_wants_it(
    world: World, methods: tuple[str, ...], *, is_basic: bool
) -> None:
    world.log_in()
    validator = world.authorization.validator
    validator.clients["bridge"] = Client(secret="s:e%c+r t")
    validator.auth_methods = methods
    server = with_auth(
        world.server,
        token_url="",
        issuer=world.authorization.url(),
        client_secret=Secret("s:e%c+r t"),
    )

    assert world.is_good(await world.tokens.acquire(server, ALICE))

    (request,) = world.authorization.seen("/token")
    assert request.headers.get("authorization", "").startswith("Basic ") is is_basic
    assert ("client_secret" in request.form) is not is_basic


async def test_a_server_is_discovered_once_an_hour_for_all_users(world: World) -> None:
    server = with_auth(world.server, token_url="", issuer=world.authorization.url())
    for user in (ALICE, BOB):
        world.log_in(user)

    await asyncio.gather(*(world.tokens.acquire(server, user) for user in (ALICE, BOB)))
    world.clock.advance(3590)
    await world.tokens.acquire(server, ALICE)
    before = world.authorization.count(METADATA)
    world.clock.advance(3600)
    await world.tokens.acquire(server, ALICE)

    assert (before, world.authorization.count(METADATA)) == (1, 2)
    assert world.authorization.count() == 4


async def test_a_discovery_that_failed_is_tried_again_after_some_seconds(world: World) -> None:
    server = with_auth(world.server, token_url="", issuer=world.authorization.url())
    world.log_in()
    world.authorization.script(METADATA, Reply(status=503))

    failed = [await world.tokens.acquire(server, ALICE) for _ in range(3)]
    asked = world.authorization.count(METADATA)
    world.clock.advance(11)
    answer = await world.tokens.acquire(server, ALICE)

    assert all(isinstance(each, NoAccess) and each.outcome == "failed" for each in failed)
    assert asked == 1
    assert world.link().broken is None
    assert world.is_good(answer)


async def test_a_failing_endpoint_is_asked_more_and_more_seldom(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for user in (ALICE, BOB):
        world.log_in(user)
    world.authorization.script("/token", *[Reply(status=503)] * 100)

    with caplog.at_level(logging.INFO, "otelbridge"):
        for _ in range(200):
            await world.acquire(ALICE)
            await world.acquire(BOB)
            world.clock.advance(0.5)

    # Pauses of 1, 2, 4, 8, 16 and from there on 30 seconds, in 100 of them.
    assert world.authorization.count() == 8
    assert len(caplog.messages) == 1


async def test_a_failing_endpoint_is_told_when_it_answers_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.log_in()
    world.authorization.script("/token", Reply(status=503))

    with caplog.at_level(logging.INFO, "otelbridge"):
        await world.acquire()
        world.clock.advance(1)
        await world.acquire()

    assert caplog.messages == [
        f"MCP server github: no token: {world.authorization.url('/token')}: status 503",
        "MCP server github: its authorization server answers again",
    ]


async def test_who_waits_behind_requests_that_fail_does_not_pile_on(world: World) -> None:
    users = [UUID(int=number) for number in range(1, 41)]
    for user in users:
        world.log_in(user)
    held = asyncio.Event()
    world.authorization.script("/token", *[Reply(status=503, after=held)] * len(users))
    asked = [asyncio.create_task(world.acquire(user)) for user in users]
    await world.authorization.wait_for(lambda s: s.count() == 16)

    held.set()
    answers = await asyncio.gather(*asked)

    assert {answer.outcome for answer in answers if isinstance(answer, NoAccess)} == {"failed"}
    assert world.authorization.count() == 16


@pytest.mark.parametrize(("asked", "waited_s"), [("20", 20), ("86400", 120)])
async def test_a_server_says_itself_when_it_may_be_asked_again(
    world: World, asked: str, waited_s: float
) -> None:
    world.log_in()
    world.authorization.script("/token", Reply(status=429, headers={"retry-after": asked}))
    await world.acquire()

    world.clock.advance(waited_s - 0.1)
    early = await world.acquire()
    world.clock.advance(0.1)

    assert isinstance(early, NoAccess)
    assert world.is_good(await world.acquire())


async def test_one_user_s_trouble_is_no_other_s(world: World) -> None:
    world.log_in(ALICE)
    world.log_in(BOB)
    world.authorization.script("/token", Reply(status=500))

    failed = await world.acquire(ALICE)
    other = await world.acquire(BOB)

    assert isinstance(failed, NoAccess)
    assert world.is_good(other)


async def test_an_answer_that_is_lost_after_it_took_effect_ends_the_login_at_the_next_try(
    world: World,
) -> None:
    world.log_in()
    world.authorization.script("/token", Reply(status=500, is_processed=True))
    first = await world.acquire()
    began = world.link().refresh_began_ns
    world.clock.advance(2)

    second = await world.acquire()

    assert isinstance(first, NoAccess)
    assert first.outcome == "failed"
    assert began is not None
    assert second == EXPIRED
    broken = world.link().broken
    assert broken is not None
    assert broken.reason.startswith("an interrupted refresh used the refresh token up: ")


async def test_a_refusal_for_now_is_no_interrupted_refresh(world: World) -> None:
    world.log_in()
    world.authorization.script("/token", Reply(status=429))

    await world.acquire()

    assert world.link().refresh_began_ns is None


async def test_one_token_is_got_for_all_with_the_client_s_own_credentials(world: World) -> None:
    world.authorization.validator.clients["bridge"] = Client(secret="s")
    server = _for_all(world)

    answers = await asyncio.gather(*(world.tokens.acquire(server, u) for u in (ALICE, BOB) * 10))
    elsewhere = await world.another().acquire(server, BOB)

    assert len({*answers, elsewhere}) == 1
    assert world.is_good(elsewhere)
    (request,) = world.authorization.seen("/token")
    assert request.form == {
        "grant_type": "client_credentials",
        "resource": "https://mcp.example.com/mcp",
        "scope": "a b",
    }


async def test_a_token_for_all_is_got_again_when_it_ends(world: World) -> None:
    world.authorization.validator.clients["bridge"] = Client(secret="s")
    first = await world.tokens.acquire(_for_all(world), ALICE)

    world.clock.advance(3570)
    second = await world.tokens.acquire(_for_all(world), ALICE)

    assert world.is_good(second)
    assert second != first


async def test_a_client_that_is_refused_for_all_is_tried_again_later(world: World) -> None:
    server = _for_all(world)

    refused = [await world.tokens.acquire(server, ALICE) for _ in range(2)]
    world.authorization.validator.clients["bridge"] = Client(secret="s")
    world.clock.advance(1)

    assert all(isinstance(each, NoAccess) and each.outcome == "failed" for each in refused)
    assert world.authorization.count() == 1
    assert world.is_good(await world.tokens.acquire(server, ALICE))


def _for_all(world: World) -> McpServer:
    auth = OAuth2Auth(
        grant=Grant.CLIENT_CREDENTIALS,
        client_id="bridge",
        client_secret=Secret("s"),
        token_url=world.authorization.url("/token"),
        scopes=("a", "b"),
    )
    return McpServer(id="github", url="https://mcp.example.com/mcp#x", auth=auth)
