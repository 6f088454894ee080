"""No token and no secret is in a log line, an answer's reason, an error or a repr."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import pytest

from otelbridge.domain.access import Secret
from otelbridge.oauth.answers import NoAccess
from otelbridge.oauth.refreshing import Wanted
from tests.oauth.authorization_server import METADATA, Reply
from tests.oauth.validator import Client
from tests.oauth.world import ALICE, BOB, with_auth

if TYPE_CHECKING:
    from otelbridge.domain.access import McpServer
    from tests.oauth.world import World

SECRET = "CANARY+client/secret"


def confidential(world: World) -> McpServer:
    world.authorization.validator.clients["bridge"] = Client(secret=SECRET)
    return with_auth(
        world.server,
        client_secret=Secret(SECRET),
        issuer=world.authorization.url(),
        validate_url=world.authorization.url("/user"),
    )


def echoes(world: World) -> list[Reply]:
    """Return answers of a server that tells all that it was sent, and more."""
    links = world.file.read().values()
    tokens = [token for each in links for token in (each.access_token, each.refresh_token) if token]
    sent = [token.reveal() for token in tokens] + [SECRET, quote_plus(SECRET)]
    words = f"bad {' '.join(sent)} of client, try AT-0123456789abcdefABCDEF"
    bodies = [
        {"error": words, "error_description": words},
        {"error": "invalid_request", "error_description": words},
        {"access_token": 5, "refresh_token": words},
        {"access_token": words, "token_type": "DPoP"},
    ]
    location = f"{world.authorization.url('/user')}?token={sent[0]}"
    return [
        *(
            Reply(status=status, body=json.dumps(body).encode())
            for status in (200, 400, 401, 429, 500)
            for body in bodies
        ),
        Reply(status=200, body=words.encode()),
        Reply(status=302, headers={"location": location}),
    ]


def secrets_of(world: World) -> set[str]:
    validator = world.authorization.validator
    return {
        SECRET,
        "AT-0123456789abcdefABCDEF",
        *validator.access_tokens,
        *validator.refresh_tokens,
        *validator.spent,
    }


def found(text: str, secrets: set[str]) -> list[str]:
    """Return the secrets of which eight characters in a row are in the text."""
    pieces = {each[at : at + 8]: each for each in secrets for at in range(3, len(each) - 7)}
    return [each for piece, each in pieces.items() if piece in text]


async def test_whatever_servers_say_no_secret_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server, told = confidential(world), []
    hurried = world.another(timeout_s=0.2)

    with caplog.at_level(logging.DEBUG):
        for user in (ALICE, BOB):
            world.log_in(user, left_s=600)
            told.append(await world.tokens.acquire(server, user))
        for path in ("/token", "/user", METADATA):
            for reply in echoes(world):
                world.log_in(left_s=600 if path == "/user" else 0)
                world.authorization.script(path, reply)
                told.append(await world.tokens.acquire(server, ALICE))
                world.clock.advance(200)
        world.authorization.script("/token", Reply(never=True))
        world.log_in()
        told.append(await hurried.acquire(server, ALICE))
        world.path.write_text(world.path.read_text()[:-10])
        told.append(await world.tokens.acquire(server, ALICE))
    lines = [
        record.getMessage() for record in caplog.records if record.name.startswith("otelbridge")
    ]

    secrets = secrets_of(world)
    reasons = [answer for answer in told if isinstance(answer, NoAccess)]
    assert len(reasons) > 20
    assert len(lines) >= 20
    assert found("\n".join(map(repr, [*told, *lines])), secrets) == []


async def test_what_the_http_libraries_log_holds_no_secret(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.log_in()

    with caplog.at_level(logging.INFO):
        await world.tokens.acquire(confidential(world), ALICE)

    lines = [each.getMessage() for each in caplog.records if not each.name.startswith("oauthlib")]
    assert found("\n".join(lines), secrets_of(world)) == []


async def test_no_repr_holds_a_secret(world: World) -> None:
    server, link = confidential(world), world.log_in()
    wanted = Wanted(server, server.auth, ALICE, link)  # type: ignore[arg-type]  # it is OAuth 2.0
    held = asyncio.Event()
    world.authorization.script("/token", Reply(after=held))
    task = asyncio.create_task(world.tokens.acquire(server, ALICE))
    await world.authorization.wait_for(lambda s: s.count() == 1)

    shown = [
        repr(each) for each in (server, link, wanted, world, world.tokens, *asyncio.all_tasks())
    ]
    values = [repr(vars(each)) for each in (world.tokens, world.file)]
    held.set()
    await task

    assert found("\n".join([*shown, *values]), secrets_of(world)) == []


def test_the_scan_finds_what_it_looks_for() -> None:
    assert found("x RT-0123456789 y", {"RT-0123456789"})
    assert not found("x RT-012345 y", {"RT-0123456789"})
