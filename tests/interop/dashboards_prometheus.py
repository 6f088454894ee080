"""Prometheus as a team runs it for the dashboards: with the rules, by scraping or by OTLP."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import httpx2

from tests.interop.programs import Program, environment, free_ports
from tests.interop.prometheus import Prometheus

if TYPE_CHECKING:
    from pathlib import Path

_RULES = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
"""
_SCRAPE = """\
scrape_configs:
  - job_name: otelbridge
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
_EXEMPLARS = "--enable-feature=exemplar-storage"


@dataclass(frozen=True, kw_only=True)
class Watcher(Prometheus):
    """A running Prometheus that is asked about one moment.

    Attributes:
        client: Asks, over one connection: it is asked hundreds of times.
    """

    client: httpx2.Client

    def stop(self) -> None:
        """Stop it."""
        self.client.close()
        self.program.kill()

    def _api(self, path: str, **parameters: str) -> Any:
        answer = self.client.get(f"{self.url}/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def now(self) -> float:
        """Return when the bridge last told something: between two moments Prometheus estimates."""
        found = self.value("max(timestamp(otelbridge_journal_bytes))")
        assert found is not None, "the bridge has told nothing yet"
        return found

    def at(self, moment: float, query: str) -> list[dict[str, Any]]:
        """Return the series of a query at a moment."""
        found: list[dict[str, Any]] = self._api("query", query=query, time=str(moment))["result"]
        return found

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Return the labels of the alerts that fire, by name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self._api("alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found


def values(result: list[dict[str, Any]], *labels: str) -> dict[str, float]:
    """Return a query's values by some labels, which must tell its series apart."""
    found = {
        " ".join(each["metric"].get(label, "") for label in labels): float(each["value"][1])
        for each in result
    }
    assert len(found) == len(result), "the labels do not tell the series apart"
    assert all(isfinite(value) for value in found.values()), found
    return found


def start_scraping(executable: Path, folder: Path, *, rules: Path, target_port: int) -> Watcher:
    """Start a Prometheus that scrapes one loopback port."""
    config = _RULES.format(rules=rules) + _SCRAPE.format(port=target_port)
    return _start(executable, folder, config, port=free_ports(1)[0])


def start_receiving(executable: Path, folder: Path, *, rules: Path, port: int) -> Watcher:
    """Start a Prometheus, 3 or later, that takes OTLP on a port and scrapes nothing."""
    config = _RULES.format(rules=rules)
    return _start(executable, folder, config, "--web.enable-otlp-receiver", port=port)


def _start(executable: Path, folder: Path, config: str, *options: str, port: int) -> Watcher:
    file = folder / "prometheus.yml"
    file.write_text(config)
    program = Program(
        [
            executable,
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            _EXEMPLARS,
            *options,
        ],
        folder=folder,
        env=environment(),
    )
    program.await_health(f"http://127.0.0.1:{port}/-/ready")
    client = httpx2.Client(trust_env=False, timeout=10.0)
    return Watcher(program=program, url=f"http://127.0.0.1:{port}", client=client)
