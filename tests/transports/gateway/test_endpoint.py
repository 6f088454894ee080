"""Who gets a session, and what the others are told: the answers byte for byte."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from otelbridge.transports.gateway.endpoint import PATH
from tests.transports.fakes import RIGHT_KEY
from tests.transports.gateway.peers import peer
from tests.transports.gateway.worlds import OTHER_KEY, World, eventually, running

REQUIRED = {"message": "AI Gateway key required."}
INVALID = {"message": "AI Gateway key invalid."}


def incompatible(version: str, problem: str) -> dict[str, Any]:
    return {
        "message": "Incompatible or unparsable version",
        "validations": [
            {"field": "version", "detail": problem},
            {"field": "client_api_version", "detail": version},
            {"field": "server_api_version", "detail": "1.2"},
        ],
    }


def no_form(version: str) -> dict[str, Any]:
    return incompatible(version, f'"{version}" is not of the form MAJOR.MINOR')


def no_major(version: str) -> dict[str, Any]:
    major = version.partition(".")[0]
    return incompatible(version, f"major version {major} is not served, only 1")


def not_taken(reason: str) -> dict[str, str]:
    return {"message": "AI Gateway sessions are not taken now.", "detail": reason}


@pytest.mark.parametrize(
    ("key", "version", "is_ready", "status", "body"),
    [
        (None, "version=1.0", True, 401, REQUIRED),
        ("", "version=1.0", True, 401, REQUIRED),
        ("x" * 43, "version=1.0", True, 401, INVALID),
        (f"{RIGHT_KEY}x", "version=1.0", True, 401, INVALID),
        ("\xe9", "version=1.0", True, 401, INVALID),
        (RIGHT_KEY, "version=2.0", True, 400, no_major("2.0")),
        (RIGHT_KEY, "version=0.9", True, 400, no_major("0.9")),
        (RIGHT_KEY, "version=1", True, 400, no_form("1")),
        (RIGHT_KEY, "version=1.x", True, 400, no_form("1.x")),
        (RIGHT_KEY, "version=1.0.0", True, 400, no_form("1.0.0")),
        (RIGHT_KEY, "version=-1.0", True, 400, no_form("-1.0")),
        (RIGHT_KEY, "version=1.%D9%A2", True, 400, no_form("1.٢")),
        (RIGHT_KEY, "version=%1b[31m", True, 400, no_form("\\x1b[31m")),
        (RIGHT_KEY, "version=", True, 400, no_form("")),
        (RIGHT_KEY, "", True, 400, no_form("")),
        (RIGHT_KEY, "version=2.0&version=1.0", True, 400, no_major("2.0")),
        (RIGHT_KEY, "version=1.0", False, 503, not_taken("not ready, try again")),
        # The key comes first, then the version, then readiness.
        (None, "version=2.0", False, 401, REQUIRED),
        ("x" * 43, "version=2.0", False, 401, INVALID),
        (RIGHT_KEY, "version=2.0", False, 400, no_major("2.0")),
    ],
)
async def test_who_gets_no_session_is_told_why(
    key: str | None, version: str, is_ready: bool, status: int, body: dict[str, Any]
) -> None:
    async with running() as world:
        world.is_ready = is_ready

        answer = await world.handshake(key, version=version)

    assert (answer.status, answer.json) == (status, body)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert int(answer.headers["content-length"]) == len(answer.body)


@pytest.mark.parametrize("version", ["1.0", "1.2", "1.3", "1.99"])
async def test_every_minor_version_is_accepted(version: str) -> None:
    async with running() as world:
        answer = await world.handshake(version=f"version={version}")

    assert (answer.status, answer.headers["upgrade"]) == (101, "websocket")
    # RFC 6455, section 1.3 has the answer to its own sample key.
    assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def test_compression_subprotocols_and_origins_are_left_aside() -> None:
    async with running() as world:
        answer = await world.handshake(
            Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits",
            Sec_WebSocket_Protocol="chat",
            Origin="https://evil.example",
        )

    assert answer.status == 101
    assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & answer.headers.keys()


async def test_a_newer_minor_version_is_logged_once_a_gateway(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as world:
        for version in ("1.3", "1.3", "1.4"):
            await world.handshake(version=f"version={version}")

    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [
        "gateway eu speaks API 1.3, newer than is known here: its new calls are refused"
    ]


@pytest.mark.parametrize("path", ["/", "/metrics", f"{PATH}/", "/api/v2/ai-gateway/other"])
async def test_there_is_one_websocket(path: str) -> None:
    async with running() as world:
        answer = await world.handshake(path=path)

    assert (answer.status, answer.json) == (
        404,
        {"message": "There is no WebSocket here.", "detail": f"try {PATH}"},
    )


async def test_while_the_bridge_stops_there_is_no_session() -> None:
    async with running() as world:
        await world.gateways.stop(0.0)

        answer = await world.handshake()

    assert (answer.status, answer.json) == (503, not_taken("the bridge is stopping"))


async def test_beyond_the_limit_there_is_no_session_until_one_has_ended() -> None:
    async with running(max_sessions=2, max_sessions_of_one=2) as world:
        async with peer(world), peer(world, OTHER_KEY):
            over = await world.handshake()
        await eventually(lambda: not world.gateways.connected())
        after = await world.handshake()

    reason = "2 sessions are open, and no more are allowed"
    assert (over.status, over.json, after.status) == (503, not_taken(reason), 101)


async def test_one_gateway_leaves_room_for_others() -> None:
    async with running(max_sessions=2, max_sessions_of_one=1) as world, peer(world):
        again, other = await world.handshake(), await world.handshake(OTHER_KEY)

    reason = "1 sessions of this gateway are open, no more are allowed"
    assert (again.status, again.json, other.status) == (503, not_taken(reason), 101)


async def test_who_guesses_is_told_the_limit_and_a_right_key_is_answered_as_ever() -> None:
    async with running() as world:
        guesses = [await _trial(world, f"{number:043}") for number in range(120)]
        right = await world.handshake()

    assert [answer.status for answer in guesses[:100]] == [401] * 100
    assert guesses[-1].status == 429
    assert guesses[-1].json["message"].startswith("too many refused calls, at most 100 a second")
    assert right.status == 101
    counted = {key[1:]: n for key, n in world.counted.items() if "refused" in key[0]}
    assert counted[("wrong_key",)] >= 100
    assert counted[("rate_limited",)] >= 1


async def _trial(world: World, key: str) -> Any:
    """Ask without a WebSocket, as curl does."""
    headers = {"Host": "localhost", "X-Coder-AI-Governance-Gateway-Key": key}
    return await world.ask(f"GET {PATH}?version=1.0", headers)


async def test_curl_is_told_what_a_gateway_would_be_told() -> None:
    async with running() as world:
        wrong, right = await _trial(world, "x" * 43), await _trial(world, RIGHT_KEY)
        world.is_ready = False
        unready = await _trial(world, RIGHT_KEY)

    assert (wrong.status, wrong.json) == (401, INVALID)
    assert (unready.status, unready.json) == (503, not_taken("not ready, try again"))
    assert (right.status, right.headers["upgrade"]) == (426, "websocket")
    assert right.json == {
        "message": "The key and the version are right; a gateway asks for a WebSocket."
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X": "y" * 15_000}, 101),
        ({"X": "y" * 17_000}, 431),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Key": "\x80"}, 400),
        ({"Sec_WebSocket_Version": "8"}, 400),
    ],
)
async def test_a_handshake_that_is_none_is_refused(headers: dict[str, str], status: int) -> None:
    async with running() as world:
        answer = await world.handshake(**headers)
        later = await world.handshake()

    assert (answer.status, later.status) == (status, 101)
    assert status == 101 or "message" in answer.json


async def test_a_websocket_is_asked_for_with_get() -> None:
    headers = {"Host": "h", "Connection": "upgrade", "Upgrade": "websocket"}
    async with running() as world:
        answer = await world.ask(
            f"POST {PATH}?version=1.0",
            {**headers, "X-Coder-AI-Governance-Gateway-Key": RIGHT_KEY},
        )

    assert (answer.status, answer.json) == (
        400,
        {"message": "This is no WebSocket handshake (RFC 6455)."},
    )


async def test_keys_are_in_no_log_line_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="otelbridge")  # the test's own client shows its key
    async with running() as world, peer(world):
        await world.handshake("x" * 43)
        shown = repr([vars(world.gateways), world.gateways.connected()])

    assert RIGHT_KEY not in caplog.text + shown
    assert "x" * 43 not in caplog.text


async def test_what_a_gateway_says_of_itself_is_escaped_and_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running() as world:
        await world.handshake(X_Coder_Build_Version="v2\x9b31m" + "x" * 100)

    [line] = [r.getMessage() for r in caplog.records if "connected from" in r.getMessage()]
    build = line.partition("build ")[2]
    assert build.startswith("v2\\x")
    assert len(build) == 64


async def test_a_gateway_that_dials_all_the_time_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running() as world:
        for _ in range(30):
            await world.handshake()
        await asyncio.sleep(0)

    lines = [record for record in caplog.records if "gateway eu" in record.getMessage()]
    assert 20 <= len(lines) <= 25
