"""Alerts fire in real faults, with their times shortened, and end with the fault."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.dashboards.told import RULES, rules
from tests.interop.bridge import Bridge
from tests.interop.conftest import peer
from tests.interop.dashboards_prometheus import Watcher, start_scraping
from tests.interop.dashboards_workload import STORE, UNPRICED, Workload, refused
from tests.interop.fragile import FragileCollector
from tests.interop.programs import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Waits for a lag of 20 s, and for a window to pass after it.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

#: Ten minutes are 20 s here: a rate over the shortest window still has several scrapes.
FASTER = 30
_MINUTES = re.compile(r"\b(\d+)(m|h)\b")
_SECONDS = re.compile(r"(_seconds > )(\d+)\b")
_SECONDS_OF = {"m": 60, "h": 3600}
_PATIENCE_S = 60.0


def faster(text: str) -> str:
    """Return the rules with every time shortened."""

    def shorter(found: re.Match[str]) -> str:
        return f"{max(1, int(found[1]) * _SECONDS_OF[found[2]] // FASTER)}s"

    text = _MINUTES.sub(shorter, text)
    return _SECONDS.sub(lambda found: f"{found[1]}{int(found[2]) // FASTER}", text)


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    """Return the rules with short times."""
    file = tmp_path / "rules.yml"
    file.write_text(faster(RULES.read_text()))
    return file


@pytest.fixture
def watch(rules_file: Path, tmp_path: Path) -> Iterator[Callable[[Bridge], Watcher]]:
    """Return what starts a Prometheus that scrapes a bridge and evaluates the rules."""
    executable = peer("prometheus")
    started: list[Watcher] = []

    def start(bridge: Bridge) -> Watcher:
        folder = tmp_path / "prometheus"
        folder.mkdir()
        watcher = start_scraping(executable, folder, rules=rules_file, target_port=bridge.http_port)
        started.append(watcher)
        eventually(watcher.now)
        return watcher

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def fragile(tmp_path: Path) -> FragileCollector:
    """Return a collector that is not started yet."""
    folder = tmp_path / "collector"
    folder.mkdir()
    return FragileCollector(peer("otelcol"), folder)


def _start(tmp_path: Path, *, collector: FragileCollector | None = None) -> Bridge:
    folder = tmp_path / "bridge"
    folder.mkdir()
    destinations = () if collector is None else collector.destinations
    return Bridge(folder, destinations=destinations, store=STORE)


def _await_firing(watcher: Watcher, name: str, **labels: str) -> None:
    def check() -> None:
        found = watcher.firing().get(name, [])
        assert any(labels.items() <= each.items() for each in found), watcher.firing()

    eventually(check, timeout_s=_PATIENCE_S)


def _await_end(watcher: Watcher, *names: str) -> None:
    def check() -> None:
        assert not watcher.firing().keys() & set(names)

    eventually(check, timeout_s=_PATIENCE_S)


def test_the_times_are_shortened_and_nothing_else() -> None:
    text = RULES.read_text()

    fast = faster(text)

    assert "otelbridge_delivery_lag_seconds > 20\n" in fast
    assert "[120s:2s]" in fast
    assert not re.search(r"\b\d+[mh]\b", fast)
    assert re.sub(r"\d+[smh]?\b", "#", fast) == re.sub(r"\d+[smh]?\b", "#", text)
    assert len(rules("alert")) == fast.count("- alert: ")


def test_a_collector_that_stops_is_down_and_lags_until_it_is_back(
    tmp_path: Path, fragile: FragileCollector, watch: Callable[[Bridge], Watcher]
) -> None:
    bridge = _start(tmp_path, collector=fragile)
    watcher = watch(bridge)

    bridge.send(Workload(time.time_ns()).records)

    for name in ("OtelbridgeDestinationDown", "OtelbridgeDeliveryLagging"):
        for destination in ("by-grpc", "by-http"):
            _await_firing(watcher, name, otelbridge_destination=destination)
    assert watcher.firing().keys() <= {
        "OtelbridgeDestinationDown",
        "OtelbridgeDeliveryLagging",
        "OtelbridgeUnpricedUsage",
    }
    fragile.start()
    _await_end(watcher, "OtelbridgeDestinationDown", "OtelbridgeDeliveryLagging")
    assert bridge.stop() == 0
    fragile.stop()


def test_a_store_that_is_broken_is_stale_until_it_is_right(
    tmp_path: Path, watch: Callable[[Bridge], Watcher]
) -> None:
    bridge = _start(tmp_path)
    watcher = watch(bridge)

    bridge.write_store(STORE.replace("limit_usd", "limit_eur"))

    _await_firing(watcher, "OtelbridgeStoreStale", severity="warning")
    assert watcher.firing().keys() == {"OtelbridgeStoreStale"}
    bridge.write_store(STORE)
    _await_end(watcher, "OtelbridgeStoreStale")
    assert bridge.stop() == 0


def test_a_bridge_that_is_killed_is_down_until_it_is_started(
    tmp_path: Path, watch: Callable[[Bridge], Watcher]
) -> None:
    bridge = _start(tmp_path)
    watcher = watch(bridge)

    bridge.kill()

    _await_firing(watcher, "OtelbridgeDown", severity="critical", job="otelbridge")
    bridge.start()
    _await_end(watcher, "OtelbridgeDown")
    assert bridge.stop() == 0


def test_a_provider_that_refuses_and_a_model_without_a_price_are_named(
    tmp_path: Path, watch: Callable[[Bridge], Watcher]
) -> None:
    bridge = _start(tmp_path)
    watcher = watch(bridge)

    bridge.send([*Workload(time.time_ns()).records, *refused(time.time_ns(), count=30)])

    _await_firing(watcher, "OtelbridgeErrorRate", gen_ai_provider_name="mistral_ai")
    _await_firing(watcher, "OtelbridgeUnpricedUsage", gen_ai_request_model=UNPRICED)
    assert bridge.stop() == 0
