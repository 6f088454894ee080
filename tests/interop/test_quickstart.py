"""docs/quickstart.md, step by step: its commands, with real Jaeger and Prometheus."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.conftest import peer
from tests.interop.programs import PEERS, ROOT, Program, environment, eventually, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.interop

_BLOCK = re.compile(r"^```sh ?(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_STEPS = [
    (block["kind"], block["text"])
    for block in _BLOCK.finditer((ROOT / "docs" / "quickstart.md").read_text())
]
# Where the page's ports may be taken.
_PORTS = ("4317", "16686", "50051", "8088", "9090")
_WHOLE_S = 5 * 60


class Reader:
    """Somebody who does what the page says, in a clone, with ports of their own."""

    def __init__(self, folder: Path) -> None:
        self._ports = dict(zip(_PORTS, map(str, free_ports(len(_PORTS))), strict=True))
        self._folder = folder
        self._programs: list[Program] = []
        (folder / "tests").symlink_to(ROOT / "tests")
        (folder / "examples").mkdir()
        example = (ROOT / "examples" / "prometheus.yml").read_text()
        text = self._with_ports(example).replace("scrape_interval: 15s", "scrape_interval: 1s")
        (folder / "examples" / "prometheus.yml").write_text(text)
        rules = re.search(r"rule_files:.*?(\S+\.yml)", example, re.DOTALL)
        if rules:
            (folder / "dashboards").symlink_to(ROOT / "dashboards")
        self._env = environment(
            PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            OTELBRIDGE_LISTEN__GRPC=f"127.0.0.1:{self._ports['50051']}",
            OTELBRIDGE_LISTEN__HTTP=f"127.0.0.1:{self._ports['8088']}",
        )

    def does(self, kind: str, text: str) -> None:
        """Do one step."""
        if kind in ("jaeger", "bridge", "prometheus"):
            getattr(self, f"_{kind}")(text)
        elif kind == "until":
            eventually(lambda: self._run(text), timeout_s=30.0)
        elif kind != "install":  # the tests run in what is installed
            self._run(text)

    def stop(self) -> None:
        """Close all terminals."""
        for program in self._programs:
            program.stop()

    def _run(self, text: str) -> str:
        done = subprocess.run(  # the page's own commands
            ["bash", "-eo", "pipefail", "-c", self._with_ports(text)],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _jaeger(self, text: str) -> None:
        assert "jaegertracing/jaeger" in text
        http, query, health = free_ports(3)
        ports = {"OTLP_GRPC": self._ports["4317"], "QUERY_HTTP": self._ports["16686"]}
        others = {"OTLP_HTTP": http, "QUERY_GRPC": query, "HEALTH": health}
        config = PEERS / "jaeger" / "config.yaml"
        variables = ports | {name: str(port) for name, port in others.items()}
        program = self._start([peer("jaeger"), "--config", config], **variables)
        program.await_health(f"http://127.0.0.1:{health}/status")

    def _bridge(self, text: str) -> None:
        program = self._start(self._with_ports(text).split())
        program.await_health(f"http://127.0.0.1:{self._ports['8088']}/readyz")

    def _prometheus(self, text: str) -> None:
        name, *options = text.split()
        listen = f"--web.listen-address=127.0.0.1:{self._ports['9090']}"
        program = self._start([peer(name), *options, listen])
        program.await_health(f"http://127.0.0.1:{self._ports['9090']}/-/ready")

    def _start(self, command: Sequence[str | Path], **variables: str) -> Program:
        program = Program(command, folder=self._folder, env=self._env | variables)
        self._programs.append(program)
        return program

    def _with_ports(self, text: str) -> str:
        for old, new in self._ports.items():
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        return text


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    one = Reader(tmp_path)
    yield one
    one.stop()


def test_whoever_does_what_the_page_says_sees_a_trace_and_a_number(reader: Reader) -> None:
    began = time.monotonic()

    for kind, text in _STEPS:
        reader.does(kind, text)

    assert time.monotonic() - began < _WHOLE_S
    assert [kind for kind, _ in _STEPS].count("until") == 2
