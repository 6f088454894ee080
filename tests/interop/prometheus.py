"""Prometheus: scrapes a bridge once a second and answers PromQL; and its promtool."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.interop.programs import Program, environment, fetch, free_ports

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: otelbridge
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """A running Prometheus.

    Attributes:
        url: The base address of its API.
    """

    program: Program
    url: str

    def by(self, label: str, query: str) -> dict[str, float]:
        """Return an instant query's values by one label; series that are 0 are left out."""
        results = self._instant(query)
        values = {each["metric"].get(label, ""): float(each["value"][1]) for each in results}
        return {key: value for key, value in values.items() if value}

    def value(self, query: str) -> float | None:
        """Return the one value of an instant query, None if there is none."""
        results = self._instant(query)
        assert len(results) <= 1, f"{query}: {len(results)} series"
        return float(results[0]["value"][1]) if results else None

    def exemplars(self, query: str) -> list[dict[str, str]]:
        """Return the labels of all exemplars of a series, of any time."""
        found = self._api("query_exemplars", query=query, start="0", end="9999999999")
        return [each["labels"] for series in found for each in series["exemplars"]]

    def _instant(self, query: str) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = self._api("query", query=query)["result"]
        return results

    def _api(self, path: str, **parameters: str) -> Any:
        return fetch(f"{self.url}/api/v1/{path}?{urlencode(parameters)}").json()["data"]


def start_prometheus(executable: Path, folder: Path, *, target_port: int) -> Prometheus:
    """Start a Prometheus that scrapes one loopback port, and wait until it is ready."""
    (port,) = free_ports(1)
    config = folder / "prometheus.yml"
    config.write_text(_CONFIG.format(port=target_port))
    program = Program(
        [
            executable,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
        ],
        folder=folder,
        env=environment(),
    )
    program.await_health(f"http://127.0.0.1:{port}/-/ready")
    return Prometheus(program=program, url=f"http://127.0.0.1:{port}")


def check_metrics(promtool: Path, exposition: str) -> subprocess.CompletedProcess[str]:
    """Run `promtool check metrics` over a page in the text format."""
    return subprocess.run(
        [promtool, "check", "metrics"],
        input=exposition,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
