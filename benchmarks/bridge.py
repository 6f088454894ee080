"""The bridge under test: the real command, on a real disk, with delivery alive."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import proc
from benchmarks.child import start_command
from benchmarks.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.child import Child

_READY_S: Final = 30.0
_POLL_S: Final = 0.05
_LOG_LINES: Final = 20
# A grace of half a second instead of six: what a round started is told soon after it.
_CONFIG: Final = """\
[listen]
grpc = "127.0.0.1:{grpc}"
http = "127.0.0.1:{http}"
[store]
path = "store.toml"
[journal]
url = "sqlite:journal.db"
[assembly]
grace_s = 0.5
[[destination]]
name = "sink"
protocol = "grpc"
endpoint = "http://127.0.0.1:{sink}"
"""


def choose_directory(wanted: Path | None) -> Path:
    """A directory on a real disk, in which an fsync costs what it costs.

    Raises:
        BenchmarkError: If ``wanted``, or everything there is, lies in memory.
    """
    usual = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()]  # noqa: S108  a fresh one is made inside
    candidates = [wanted] if wanted else usual
    for directory in candidates:
        if directory.is_dir() and not proc.is_in_memory(directory):
            return directory
    names = ", ".join(map(str, candidates))
    raise BenchmarkError(f"no directory on a disk among {names}: give --directory")


@asynccontextmanager
async def serve_bridge(
    parent: Path, *, sink_port: int, store: str | None = None
) -> AsyncIterator[Child]:
    """Run `otelbridge serve` with a new journal below ``parent`` that tells the sink.

    Args:
        parent: Where its directory is made.
        sink_port: Where it delivers to.
        store: The text of its store file; that of `otelbridge init` if not given.
    """
    with tempfile.TemporaryDirectory(prefix="otelbridge-bench-", dir=parent) as name:
        directory = Path(name)
        await _init(directory)
        grpc_port, http_port = _free_ports()
        config = _CONFIG.format(grpc=grpc_port, http=http_port, sink=sink_port)
        (directory / "bench.toml").write_text(config)
        if store is not None:
            (directory / "store.toml").write_text(store)
        bridge = await start_command(
            *("serve", "--config", "bench.toml"),
            cwd=directory,
            port=grpc_port,
            http_port=http_port,
        )
        try:
            await _wait_until_ready(bridge)
            yield bridge
        except BenchmarkError as error:
            raise BenchmarkError(f"{error}\n{_last_words(directory)}") from error
        finally:
            status = await bridge.stop()
        if status:
            raise BenchmarkError(f"{bridge.name} ended with {status}\n{_last_words(directory)}")


async def _init(directory: Path) -> None:
    init = await start_command("init", str(directory), cwd=directory, port=0)
    if status := await init.wait():
        raise BenchmarkError(f"{init.name} ended with {status}\n{_last_words(directory)}")


async def _wait_until_ready(bridge: Child) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _READY_S
    while loop.time() < deadline:
        if bridge.has_exited:
            raise BenchmarkError(f"{bridge.name} ended with {await bridge.wait()}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
        except OSError:
            await asyncio.sleep(_POLL_S)
        else:
            writer.close()
            return
    raise BenchmarkError(f"{bridge.name} accepted no connection within {_READY_S:.0f} s")


def _last_words(directory: Path) -> str:
    lines = (directory / "otelbridge.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:])


def _free_ports() -> tuple[int, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        return one.getsockname()[1], other.getsockname()[1]
