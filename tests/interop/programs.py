"""Running the programs of the interop tests: the bridge and its real peers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
#: Where `install.sh` puts what it builds, and the configurations it is run with.
BIN = ROOT / ".peers" / "bin"
PEERS = Path(__file__).parent / "peers"

# Peers that the distribution may have installed; the others are our own builds.
_DISTRIBUTED = frozenset({"chromium", "prometheus", "promtool"})
_STEP_S = 0.05

T = TypeVar("T")


def find_peer(name: str) -> Path | None:
    """Return where a peer's program is, or None if it is not installed."""
    places = [str(BIN), *os.get_exec_path()] if name in _DISTRIBUTED else [str(BIN)]
    found = shutil.which(name, path=os.pathsep.join(places))
    return None if found is None else Path(found)


def eventually(check: Callable[[], T], *, timeout_s: float = 20.0) -> T:
    """Return the check's result as soon as it holds.

    Args:
        check: Raises AssertionError while it does not hold; any other error
            means that it never will, and ends the wait at once.
        timeout_s: When to give up and raise the last AssertionError.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        pause.wait(_STEP_S)


def fetch(url: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
    """GET a loopback address, past any proxy; what is not 200 is an AssertionError."""
    try:
        response = httpx2.get(url, headers=headers, trust_env=False, timeout=5.0)
    except httpx2.TransportError as error:
        raise AssertionError(f"{url}: {error}") from error
    assert response.status_code == 200, f"{url}: {response.status_code} {response.text}"
    return response


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment without what would configure a bridge or a peer."""
    ours = ("OTEL_", "OTELBRIDGE_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return kept | extra


class Program:
    """A program that runs beside the tests; what it prints is kept in its folder."""

    def __init__(
        self, command: Sequence[str | Path], *, folder: Path, env: Mapping[str, str]
    ) -> None:
        self._log = folder / "program.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return self._log.read_text(errors="replace")

    def await_health(self, url: str) -> None:
        """Return once the address answers 200; stop the program if it does not."""
        try:
            eventually(lambda: self._check_health(url))
        except BaseException:
            self.kill()
            raise

    def _check_health(self, url: str) -> None:
        code = self._process.poll()
        if code is not None:
            raise RuntimeError(f"{self._process.args!r} exited with {code}:\n{self.output}")
        try:
            fetch(url)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from error

    def stop(self, *, patience_s: float = 15.0) -> int:
        """Terminate it as a service manager would, and return its exit code."""
        self.terminate()
        return self.wait(patience_s=patience_s)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """Tell it to stop."""
        self._process.terminate()

    def wait(self, *, patience_s: float = 15.0) -> int:
        """Return its exit code once it has stopped; kill it if it does not."""
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
