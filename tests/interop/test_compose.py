"""examples/compose with the programs themselves: from the bridge to Jaeger's "Monitor"."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.interop.bridge import Bridge, Destination
from tests.interop.conftest import peer
from tests.interop.programs import ROOT, Program, environment, eventually, fetch, free_ports
from tests.interop.session import agent_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop

_EXAMPLE = ROOT / "examples" / "compose"


class Stack:
    """The programs of the example, on free loopback ports instead of their own hosts."""

    def __init__(self, folder: Path) -> None:
        names = ("otlp_grpc", "otlp_http", "jaeger", "query_http", "query_grpc", "prometheus")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.query = f"http://127.0.0.1:{self.ports['query_http']}"
        self.prometheus = f"http://127.0.0.1:{self.ports['prometheus']}"
        self._folder = folder
        self._programs: list[Program] = []

    def start(self, *, bridge_port: int) -> None:
        """Start all of them, beside a bridge."""
        at = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        (self._folder / "rules").symlink_to(ROOT / "dashboards" / "rules")
        config = self._edited(
            "prometheus.yml", {"otelbridge:8088": f"127.0.0.1:{bridge_port}", "15s": "1s"}
        )
        prometheus = self._start(
            "prometheus3",
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            "--web.enable-otlp-receiver",
            "--enable-feature=exemplar-storage",
            f"--web.listen-address={at['prometheus']}",
        )
        prometheus.await_health(f"{self.prometheus}/-/ready")
        jaeger = self._start(
            "jaeger",
            f"--config={_EXAMPLE / 'jaeger.yaml'}",
            OTLP_GRPC=at["jaeger"],
            QUERY_HTTP=at["query_http"],
            QUERY_GRPC=at["query_grpc"],
            PROMETHEUS=self.prometheus,
        )
        jaeger.await_health(f"{self.query}/api/services")
        self._start(
            "otelcol",
            f"--config={self._edited('collector.yaml', {'interval: 15s': 'interval: 1s'})}",
            OTLP_GRPC=at["otlp_grpc"],
            OTLP_HTTP=at["otlp_http"],
            JAEGER=at["jaeger"],
            PROMETHEUS=self.prometheus,
        )

    def stop(self) -> None:
        """Stop them."""
        for program in self._programs:
            program.kill()

    def _edited(self, name: str, changes: dict[str, str]) -> Path:
        text = (_EXAMPLE / name).read_text()
        for old, new in changes.items():
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        path = self._folder / name
        path.write_text(text)
        return path

    def _start(self, name: str, *options: str, **variables: str) -> Program:
        folder = self._folder / name
        folder.mkdir()
        program = Program(
            [peer(name), *options],
            folder=folder,
            env=environment(**variables),
        )
        self._programs.append(program)
        return program


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    running = Stack(tmp_path)
    yield running
    running.stop()


def test_what_a_gateway_reports_is_seen_in_jaeger_its_monitor_and_prometheus(
    stack: Stack, tmp_path: Path
) -> None:
    folder = tmp_path / "bridge"
    folder.mkdir()
    destination = Destination(
        name="collector",
        protocol="grpc",
        port=stack.ports["otlp_grpc"],
        signals=["traces", "logs"],
    )
    bridge = Bridge(folder, destinations=[destination])
    try:
        stack.start(bridge_port=bridge.http_port)
        bridge.send(agent_session(time.time_ns()))

        eventually(lambda: _check_traces(stack))
        eventually(lambda: _check_monitor(stack), timeout_s=40.0)
        eventually(lambda: _check_metrics(stack))
    finally:
        assert bridge.stop() == 0, bridge.output


def _check_traces(stack: Stack) -> None:
    url = f"{stack.query}/api/traces?service=otelbridge&limit=20&lookback=2h"
    traces = fetch(url).json()["data"]

    names = {span["operationName"] for trace in traces for span in trace["spans"]}
    assert any(name.startswith("chat ") for name in names), names


def _check_monitor(stack: Stack) -> None:
    url = (
        f"{stack.query}/api/metrics/calls?service=otelbridge&lookback=600000&step=5000"
        "&ratePer=600000&spanKind=client&groupByOperation=true"
    )
    series = fetch(url).json().get("metrics", [])

    assert any(point for each in series for point in each["metricPoints"]), series


def _check_metrics(stack: Stack) -> None:
    url = f"{stack.prometheus}/api/v1/query?query=sum(aibridge_interceptions_total)"
    result = fetch(url).json()["data"]["result"]

    assert [each for each in result if float(each["value"][1]) > 0], result
