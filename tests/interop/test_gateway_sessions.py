"""A stock gateway's session with a bridge: who gets one, what keeps it, and what ends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from otelbridge.proto import aibridged_pb2 as pb
from tests.e2e import gateways as gw
from tests.interop.gateway import REFUSED, WATCH, Gateway
from tests.interop.programs import eventually
from tests.interop.served import HELD, held_answer, start_served_bridge, token_request
from tests.store.files import ALICE, GATEWAY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.bridge import Bridge
    from tests.interop.served import HeldTokens

    StartGateway = Callable[..., Gateway]

pytestmark = pytest.mark.interop

BUDGET = pb.IsBudgetExceededRequest(user_id=ALICE)


@pytest.fixture
def connect(gateway_peer: Path, tmp_path: Path) -> Iterator[StartGateway]:
    """Return what starts a gateway that dials a bridge."""
    started: list[Gateway] = []

    def start(bridge: Bridge, *arguments: str, key: str = GATEWAY_KEY) -> Gateway:
        started.append(Gateway(gateway_peer, bridge.url, *arguments, key=key, folder=tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def own_bridge(
    token_server: HeldTokens, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bridge]:
    """Run a bridge that a test may stop and kill."""
    bridge = start_served_bridge(tmp_path_factory.mktemp("own"), token_server.url)
    yield bridge
    bridge.kill()


@pytest.mark.parametrize(
    ("key", "message"),
    [("", "AI Gateway key required."), ("x" * 43, "AI Gateway key invalid.")],
    ids=["no key", "nobody's key"],
)
def test_a_gateway_without_a_right_key_is_refused_for_good(
    served_bridge: Bridge, connect: StartGateway, key: str, message: str
) -> None:
    # The key is judged first.
    gateway = connect(served_bridge, "-version", "2.0", key=key)

    refused = gateway.await_event("refused")

    assert (refused["status"], json.loads(refused["body"])["message"]) == (401, message)
    assert gateway.wait() == REFUSED


@pytest.mark.parametrize("version", ["2.0", "0.9", "1", "1.x", ""])
def test_a_gateway_of_another_major_version_is_refused_for_good(
    served_bridge: Bridge, connect: StartGateway, version: str
) -> None:
    gateway = connect(served_bridge, "-version", version)

    refused = gateway.await_event("refused")

    body = json.loads(refused["body"])
    assert (refused["status"], body["message"]) == (400, "Incompatible or unparsable version")
    fields = [each["field"] for each in body["validations"]]
    assert fields == ["version", "client_api_version", "server_api_version"]
    assert gateway.wait() == REFUSED


@pytest.mark.parametrize("version", ["1.0", "1.99"])
def test_a_gateway_of_any_minor_version_is_served(
    served_bridge: Bridge, connect: StartGateway, version: str
) -> None:
    gateway = connect(served_bridge, "-version", version)

    assert gateway.call(BUDGET).error == ""


def test_an_idle_session_lives_through_its_pings(
    served_bridge: Bridge, connect: StartGateway
) -> None:
    gateway = connect(served_bridge, "-keepalive", "20ms")

    assert gateway.await_pings(50).error == ""

    assert gateway.call(BUDGET).error == ""
    assert len(gateway.named("connected")) == 1


def test_a_call_waits_for_a_bridge_that_was_killed_and_finds_its_records(
    own_bridge: Bridge, connect: StartGateway
) -> None:
    interception = gw.fresh_id()
    gateway = connect(own_bridge)
    gateway.call(gw.start(interception, model="first"))
    own_bridge.kill()
    gateway.await_event("disconnected")
    call = gateway.begin(gw.start(interception, model="second"))

    own_bridge.start()

    assert "already recorded with another start" in gateway.answer(call).error
    assert gateway.await_event("connected", 2)["session"] == 2


def test_calls_in_flight_at_sigterm_are_answered_and_the_gateway_comes_back(
    own_bridge: Bridge, connect: StartGateway, held_tokens: HeldTokens
) -> None:
    gateway = connect(own_bridge)
    watch = gateway.begin(b"", WATCH, stream=True)
    gateway.await_message(watch, 1)
    held_tokens.hold()
    calls = {server: gateway.begin(token_request(server)) for server in HELD}
    held_tokens.await_requests(len(HELD))

    own_bridge.terminate()
    eventually(lambda: _check_not_ready(own_bridge))
    another = connect(own_bridge)
    another.await_event("refused", status=503)
    held_tokens.release()

    for server, call in calls.items():
        assert gateway.answer(call).response == held_answer(server)
    assert gateway.answer(watch).messages == 1  # it has ended
    assert own_bridge.wait() == 0
    gateway.await_event("disconnected")
    own_bridge.start()
    assert (gateway.call(BUDGET).error, another.call(BUDGET).error) == ("", "")
    assert len(gateway.named("connected")) == 2


def _check_not_ready(bridge: Bridge) -> None:
    assert not bridge.is_ready(), "still ready"
