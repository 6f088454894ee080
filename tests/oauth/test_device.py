"""A login with a code that is entered elsewhere: how often is asked, and when that ends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from otelbridge.domain.access import Grant, OAuth2Auth, Secret
from otelbridge.errors import OAuthError
from otelbridge.oauth import device
from otelbridge.oauth.device import DeviceLogin
from otelbridge.oauth.discovery import Metadata, discover
from otelbridge.oauth.http import OAuthHttp
from tests.oauth.authorization_server import Authority, Reply
from tests.oauth.login_server import LoginServer
from tests.oauth.world import NOW_NS, Clock, S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from otelbridge.store.tokens import Link

RESOURCE = "https://mcp.example.com/mcp"
AUTH = OAuth2Auth(grant=Grant.REFRESH_TOKEN, client_id="bridge", scopes=("repo",))
CONFIDENTIAL = replace(AUTH, client_id="confidential", client_secret=Secret("s3cret-of-the-client"))
GOOD = {
    "device_code": "d3vice-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://login.example.com/device",
    "expires_in": 1800,
}


@dataclass
class World:
    """A device that asks, and what the server's user does in each pause of it.

    Attributes:
        fates: What becomes of the code in the next pauses.
        pauses: How long each was, in seconds.
    """

    server: LoginServer
    http: OAuthHttp
    metadata: Metadata
    clock: Clock = field(default_factory=Clock)
    fates: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    login: DeviceLogin | None = None

    async def begin(self, auth: OAuth2Auth = AUTH) -> DeviceLogin:
        self.login = await device.begin(self.http, self.metadata, auth, resource=RESOURCE)
        return self.login

    async def wait(self, auth: OAuth2Auth = AUTH) -> Link:
        login = self.login or await self.begin(auth)
        return await device.wait(
            self.http,
            self.metadata,
            auth,
            login,
            resource=RESOURCE,
            clock_ns=self.clock,
            pause=self._pause,
        )

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)
        if self.fates:
            assert self.login is not None
            self.server.enter(self.login.user_code, status=self.fates.pop(0))


@pytest.fixture
async def world(authority: Authority) -> AsyncIterator[World]:
    async with (
        LoginServer(authority.server) as server,
        OAuthHttp(timeout_s=5.0, context=authority.client) as http,
    ):
        server.publish()
        metadata = await discover(http, issuer=server.url(), resource=RESOURCE)
        yield World(server, http, metadata)


async def refusal(world: World, **answer: object) -> str:
    """Return what is said of an answer of the device authorization endpoint."""
    body = json.dumps({**GOOD, **answer}).encode()
    world.server.script("/device", Reply(status=200, body=body))
    with pytest.raises(OAuthError) as caught:
        await world.begin()
    return str(caught.value)


@pytest.mark.parametrize("auth", [AUTH, CONFIDENTIAL])
async def test_a_code_that_is_entered_becomes_tokens(world: World, auth: OAuth2Auth) -> None:
    world.fates = ["authorization_pending", "authorized"]

    link = await world.wait(auth)

    granted = world.server.validator.access_tokens[link.access_token.reveal()]
    assert (granted.user, granted.client_id) == ("alice", auth.client_id)
    assert (link.expires_at_ns, link.scopes) == (NOW_NS + (2 + 3600) * S, ("repo",))
    assert link.refresh_token is not None


async def test_the_server_says_where_the_code_is_entered_and_how_long(world: World) -> None:
    login = await world.begin()

    assert login.verification_uri == world.server.url("/activate")
    assert login.complete_uri == f"{login.verification_uri}?user_code={login.user_code}"
    assert (login.life_s, login.interval_s) == (1800.0, 1.0)
    [sent] = world.server.seen("/device")
    assert sent.form == {"client_id": "bridge", "scope": "repo", "resource": RESOURCE}


async def test_nothing_shows_the_device_code(world: World) -> None:
    login = await world.begin()

    assert login.device_code.reveal() not in repr(login)


async def test_slow_down_makes_every_later_pause_longer(world: World) -> None:
    world.fates = ["slow_down", "authorization_pending", "slow_down", "authorized"]

    await world.wait()

    assert world.pauses == [1.0, 6.0, 6.0, 11.0]


async def test_a_server_that_fails_is_asked_again_ever_less_often(world: World) -> None:
    await world.begin()
    world.server.script("/token", Reply(status=503), Reply(status=500), Reply(status=429))
    world.fates = ["authorization_pending"] * 3 + ["authorized"]

    await world.wait()

    assert world.pauses == [1.0, 2.0, 4.0, 8.0]


async def test_retry_after_is_heeded(world: World) -> None:
    world.server.script("/token", Reply(status=429, headers={"retry-after": "40"}))
    world.fates = ["authorization_pending", "authorized"]

    await world.wait()

    assert world.pauses == [1.0, 40.0]


@pytest.mark.parametrize(
    ("fate", "code", "text"),
    [
        ("access_denied", "access_denied", "the user refused the login"),
        ("expired_token", "expired_token", "the code expired before anybody entered it"),
        ("gone", "invalid_grant", "invalid_grant"),
    ],
)
async def test_what_cannot_become_a_login_any_more_ends_the_wait(
    world: World, fate: str, code: str, text: str
) -> None:
    world.fates = ["authorization_pending", fate]

    with pytest.raises(OAuthError, match=text) as caught:
        await world.wait()

    assert caught.value.code == code
    assert len(world.pauses) == 2


async def test_a_server_that_never_says_so_is_not_asked_after_the_codes_end(world: World) -> None:
    login = await world.begin()
    world.login = login.within(10.0)

    with pytest.raises(OAuthError, match="nobody entered the code within 10 s"):
        await world.wait()

    assert world.server.count("/token") == 10


async def test_an_answer_that_makes_no_sense_ends_the_wait(world: World) -> None:
    world.server.script("/token", Reply(status=200, body=b'{"token": "x"}'))

    with pytest.raises(OAuthError, match="no access_token"):
        await world.wait()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"device_code": ""}, "device_code or user_code is missing"),
        ({"user_code": None}, "device_code or user_code is missing"),
        ({"user_code": 12345678}, "user_code is not a string"),
        ({"verification_uri": None}, "verification_uri is missing"),
        ({"verification_uri": "http://login.example.com/device"}, "http is for loopback"),
        ({"verification_uri": "http://127.0.0.1:9/"}, "is not https"),
        ({"verification_uri": "https://a.example/\x1b[2J"}, "is not a URL"),
        ({"verification_uri_complete": "javascript:alert(1)"}, "is not of the form https"),
    ],
)
async def test_an_answer_that_breaks_the_rules_is_not_shown(
    world: World, answer: dict[str, object], problem: str
) -> None:
    text = await refusal(world, **answer)

    assert problem in text
    assert text.isprintable()
    assert "d3vice-code" not in text


async def test_a_user_code_can_do_nothing_to_a_terminal(world: World) -> None:
    body = json.dumps({**GOOD, "user_code": "\x1b[2J" + "A" * 500}).encode()
    world.server.script("/device", Reply(status=200, body=body))

    login = await world.begin()

    assert login.user_code.startswith(r"\x1b[2JAAA")
    assert len(login.user_code) == 64


@pytest.mark.parametrize(
    ("said", "interval_s"),
    [(None, 5.0), (0, 1.0), (-1, 1.0), (1e30, 60.0), ("7", 5.0), (True, 5.0), (7, 7.0)],
)
async def test_pauses_are_between_a_second_and_a_minute(
    world: World, said: object, interval_s: float
) -> None:
    body = json.dumps({**GOOD, "interval": said}).encode()
    world.server.script("/device", Reply(status=200, body=body))

    assert (await world.begin()).interval_s == interval_s


async def test_a_refusal_is_told_in_the_servers_words(world: World) -> None:
    body = b'{"error": "unauthorized_client", "error_description": "not for devices"}'
    world.server.script("/device", Reply(status=400, body=body))

    with pytest.raises(OAuthError, match="unauthorized_client: not for devices"):
        await world.begin()


async def test_the_clients_secret_follows_no_redirect(world: World) -> None:
    location = {"location": world.server.url("/mcp")}
    world.server.script("/device", Reply(status=308, headers=location))

    with pytest.raises(OAuthError, match="redirects are not followed"):
        await world.begin(CONFIDENTIAL)

    assert world.server.count("/mcp") == 0
