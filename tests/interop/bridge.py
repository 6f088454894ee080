"""A real bridge: started by its own command, fed over gRPC and by `otelbridge replay`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from tests.interop.programs import Program, environment, fetch, free_ports
from tests.interop.sent import method_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.interop.sent import Record

_COMMAND = (sys.executable, "-m", "otelbridge")
# The usual grace of 6 s and interval of 60 s would only make the tests wait.
_CONFIG = """\
[listen]
grpc = "127.0.0.1:{grpc_port}"
http = "127.0.0.1:{http_port}"
[store]
path = "store.toml"
[journal]
url = "sqlite:journal.db"
[assembly]
grace_s = 0.5
[telemetry]
events = "{events}"
[metrics]
interval_s = 1.0
"""
_DESTINATION = """\
[[destination]]
name = "{name}"
protocol = "{protocol}"
endpoint = "http://127.0.0.1:{port}"
signals = {signals}
"""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a bridge delivers to, on loopback.

    Attributes:
        name: Its identity; also the configuration's name for it.
        protocol: "grpc" or "http/protobuf".
        signals: Which of traces, metrics and logs it takes.
    """

    name: str
    protocol: str
    port: int
    signals: Sequence[str]

    def to_toml(self) -> str:
        """Return its table of the configuration."""
        return _DESTINATION.format(
            name=self.name, protocol=self.protocol, port=self.port, signals=list(self.signals)
        )


class Bridge:
    """A bridge in a folder of its own, on ports that it keeps over a restart."""

    def __init__(
        self,
        folder: Path,
        *,
        destinations: Sequence[Destination] = (),
        events: str = "span",
        store: str | None = None,
        settings: str = "",
    ) -> None:
        """Start it.

        Args:
            folder: Where its files are.
            destinations: Where it delivers to.
            events: How it tells events.
            store: Its store file; None for the one that `init` writes.
            settings: More tables of its configuration.
        """
        self.grpc_port, self.http_port = free_ports(2)
        self._folder = folder
        run_command("init", ".", folder=folder)
        if store is not None:
            self.write_store(store)
        config = _CONFIG.format(grpc_port=self.grpc_port, http_port=self.http_port, events=events)
        tables = [destination.to_toml() for destination in destinations]
        (folder / "otelbridge.toml").write_text("".join([config, settings, *tables]))
        self._program = self._serve()

    def _serve(self) -> Program:
        program = Program(
            [*_COMMAND, "serve", "--config", "otelbridge.toml"],
            folder=self._folder,
            env=environment(),
        )
        program.await_health(f"http://127.0.0.1:{self.http_port}/readyz")
        return program

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return self._program.output

    @property
    def url(self) -> str:
        """Where a gateway connects to; ws is another name of http."""
        return f"ws://127.0.0.1:{self.http_port}"

    def write_store(self, text: str) -> None:
        """Replace its store file, as an editor does."""
        new = self._folder / "store.toml.new"
        new.write_text(text)
        new.chmod(0o600)
        new.replace(self._folder / "store.toml")

    def is_ready(self) -> bool:
        """Return whether it takes calls."""
        try:
            fetch(f"http://127.0.0.1:{self.http_port}/readyz")
        except AssertionError:
            return False
        return True

    def stop(self) -> int:
        """Stop it as a service manager would, and return its exit code."""
        return self._program.stop()

    def terminate(self) -> None:
        """Tell it to stop."""
        self._program.terminate()

    def wait(self) -> int:
        """Return its exit code once it has stopped."""
        return self._program.wait()

    def kill(self) -> None:
        """End it at once, as a lack of memory does."""
        self._program.kill()

    def start(self) -> None:
        """Start it again in the same folder."""
        self._program = self._serve()

    def restart(self) -> None:
        """Stop it and start it again in the same folder."""
        code = self.stop()
        assert code == 0, f"serve exited with {code}:\n{self.output}"
        self.start()

    def send(self, records: Iterable[Record]) -> None:
        """Record one after the other, as a gateway would; all must be accepted."""
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", options=options) as channel:
            for record in records:
                channel.unary_unary(method_of(record))(record.SerializeToString(), timeout=10.0)

    def replay(self, capture: Path, *arguments: str) -> None:
        """Send a capture by the command that users have for it, as fast as it goes."""
        to = f"grpc://127.0.0.1:{self.grpc_port}"
        run_command(
            "replay", str(capture), "--to", to, "--speed", "max", *arguments, folder=self._folder
        )

    def metrics_page(self) -> str:
        """Return /metrics in the text format, as a person sees it."""
        url = f"http://127.0.0.1:{self.http_port}/metrics"
        return fetch(url, headers={"Accept": "text/plain;version=0.0.4"}).text


def run_command(*arguments: str, folder: Path) -> None:
    """Run a command of otelbridge that ends by itself; it must succeed."""
    command = [*_COMMAND, *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, (
        f"{command!r} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    )
