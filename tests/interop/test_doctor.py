"""`otelbridge doctor` reads its canary back from a real Jaeger, and metrics from Prometheus."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.bridge import Bridge, Destination
from tests.interop.programs import environment, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.jaeger import Jaeger
    from tests.interop.prometheus import Prometheus

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("doctor")


@pytest.fixture(scope="module")
def bridge(folder: Path, jaeger: Jaeger) -> Iterator[Bridge]:
    """Run a bridge that delivers to Jaeger over both transports."""
    ports = {"grpc": jaeger.grpc_port, "http/protobuf": jaeger.http_port}
    started = Bridge(
        folder,
        destinations=[
            Destination(
                name=f"jaeger-{protocol[:4]}", protocol=protocol, port=port, signals=("traces",)
            )
            for protocol, port in ports.items()
        ],
    )
    yield started
    assert started.stop() == 0


def diagnosed(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """Return the findings of a diagnosis in which nothing failed."""
    done = subprocess.run(
        [sys.executable, "-m", "otelbridge", "doctor", "--json", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def test_a_canary_is_read_back_from_jaeger(folder: Path, bridge: Bridge, jaeger: Jaeger) -> None:
    found = diagnosed(folder, "--jaeger", jaeger.query)

    assert bridge.is_ready()
    levels = {f["subject"]: f["level"] for f in found if f["area"] in {"canary", "jaeger"}}
    assert levels == {
        "": "ok",
        "jaeger-grpc traces": "ok",
        "jaeger-http traces": "ok",
        jaeger.query.partition("://")[2]: "ok",
    }
    (read_back,) = (f["message"] for f in found if f["area"] == "jaeger")
    trace_id = bytes.fromhex(read_back.rpartition(" ")[2])
    spans = jaeger.trace(trace_id, spans=1)  # both transports told the same span
    assert spans[0].name == "chat canary"


def test_jaeger_s_clock_is_compared(folder: Path, bridge: Bridge, jaeger: Jaeger) -> None:
    found = diagnosed(folder, "--jaeger", jaeger.query)

    assert bridge.is_ready()
    clocks = {f["subject"]: f["level"] for f in found if f["area"] == "clock"}
    assert clocks == {
        "bridge": "ok",
        "destination jaeger-http": "ok",
        jaeger.query.partition("://")[2]: "ok",
    }


def test_fresh_metrics_are_found_in_prometheus_and_none_of_a_canary(
    folder: Path, bridge: Bridge, scrape: Callable[[Bridge], Prometheus]
) -> None:
    prometheus = scrape(bridge)

    def scraped() -> None:
        assert prometheus.value("otelbridge_journal_bytes") is not None

    eventually(scraped)
    found = diagnosed(folder, "--prometheus", prometheus.url)

    (finding,) = (f for f in found if f["area"] == "prometheus")
    assert finding["level"] == "ok"
    assert "canary" not in bridge.metrics_page()
