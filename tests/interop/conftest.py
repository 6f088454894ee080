"""Fixtures of the interop tests: real peers and real bridges, on free loopback ports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.interop.bridge import Bridge
from tests.interop.collector import start_collector
from tests.interop.gateway import Gateway
from tests.interop.jaeger import start_jaeger
from tests.interop.programs import ROOT, find_peer
from tests.interop.prometheus import start_prometheus
from tests.interop.served import HeldTokens, start_served_bridge
from tests.store.files import GATEWAY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.bridge import Destination
    from tests.interop.collector import Collector
    from tests.interop.jaeger import Jaeger
    from tests.interop.prometheus import Prometheus


class StartBridge(Protocol):
    """Starts a bridge that is stopped after the module's last test."""

    def __call__(self, *destinations: Destination, events: str = "span") -> Bridge:
        """Start a bridge that delivers to all these destinations."""


def peer(name: str) -> Path:
    """Return a peer's program; without it, skip, or fail where it is compulsory."""
    found = find_peer(name)
    if found is not None:
        return found
    reason = f"{name} is not installed: run tests/interop/peers/install.sh"
    if os.environ.get("OTELBRIDGE_REQUIRE_PEERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def captures() -> Path:
    """Return the folder of what real gateways sent."""
    return ROOT / "tests" / "captures"


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Return Prometheus' checker."""
    return peer("promtool")


@pytest.fixture(scope="session")
def gateway_peer() -> Path:
    """Return the Go program that speaks as a stock gateway."""
    return peer("gateway")


@pytest.fixture(scope="session")
def token_server() -> Iterator[HeldTokens]:
    """Run an authorization server that answers when a test says so."""
    started = HeldTokens()
    yield started
    started.close()


@pytest.fixture
def held_tokens(token_server: HeldTokens) -> Iterator[HeldTokens]:
    """Return the authorization server; what a test has left waiting is answered after it."""
    yield token_server
    token_server.release()


@pytest.fixture(scope="session")
def served_bridge(
    token_server: HeldTokens, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bridge]:
    """Run a bridge with something of everything in its store, for gateways."""
    bridge = start_served_bridge(tmp_path_factory.mktemp("served"), token_server.url)
    yield bridge
    code = bridge.stop()
    assert code == 0, f"serve exited with {code}:\n{bridge.output}"


@pytest.fixture(scope="module")
def gateway(
    gateway_peer: Path, served_bridge: Bridge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Run a gateway that keeps one session over all tests of a module."""
    folder = tmp_path_factory.mktemp("gateway")
    with Gateway(gateway_peer, served_bridge.url, key=GATEWAY_KEY, folder=folder) as started:
        started.await_event("connected")
        yield started
        assert [event["event"] for event in started.events] == ["connected"]
        assert started.close() == 0


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """Run a Jaeger."""
    running = start_jaeger(peer("jaeger"), tmp_path_factory.mktemp("jaeger"))
    yield running
    running.program.kill()


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """Run a collector."""
    running = start_collector(peer("otelcol"), tmp_path_factory.mktemp("otelcol"))
    yield running
    running.program.kill()


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Bridge], Prometheus]]:
    """Return what starts a Prometheus that scrapes a bridge."""
    executable = peer("prometheus")
    started: list[Prometheus] = []

    def start(bridge: Bridge) -> Prometheus:
        folder = tmp_path_factory.mktemp("prometheus")
        started.append(start_prometheus(executable, folder, target_port=bridge.http_port))
        return started[-1]

    yield start
    for each in started:
        each.program.kill()


@pytest.fixture(scope="module")
def start_bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartBridge]:
    """Return what starts a bridge; each must exit with 0 when it is stopped."""
    started: list[Bridge] = []

    def start(*destinations: Destination, events: str = "span") -> Bridge:
        folder = tmp_path_factory.mktemp("bridge")
        started.append(Bridge(folder, destinations=destinations, events=events))
        return started[-1]

    yield start
    codes = [each.stop() for each in started]
    assert not any(codes), f"serve exited with {codes}"
