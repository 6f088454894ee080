"""Server processes: started, asked, stopped.

A helper server (echo, sink, null) prints its port as its first line, answers each line
on its standard input with a line, and ends when its standard input does: it cannot
outlive the benchmark.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from benchmarks.errors import BenchmarkError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

_STOP_S: Final = 30.0


class Child:
    """A running server process.

    Attributes:
        name: For messages.
        port: Where it accepts gRPC, on 127.0.0.1.
        pid: Its process id.
        http_port: Where a bridge accepts gateways, on 127.0.0.1.
    """

    def __init__(self, process: Process, *, name: str, port: int, http_port: int = 0) -> None:
        self.name = name
        self.port = port
        self.http_port = http_port
        self.pid = process.pid
        self._process = process

    @property
    def has_exited(self) -> bool:
        """Whether the process is no more."""
        return self._process.returncode is not None

    async def ask(self, question: str = "") -> str:
        """A helper's answer to a line."""
        if self._process.stdin is None:
            raise BenchmarkError(f"{self.name} takes no questions")
        self._process.stdin.write(f"{question}\n".encode())
        return await _read_line(self._process, self.name)

    async def wait(self) -> int:
        """The exit status, once the process has ended by itself."""
        return await self._process.wait()

    async def stop(self) -> int:
        """End the process as a supervisor would; its exit status.

        Raises:
            BenchmarkError: If it had to be killed.
        """
        if not self.has_exited:
            self._process.terminate()
        try:
            return await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            self._process.kill()
            raise BenchmarkError(f"{self.name} ignored SIGTERM for {_STOP_S:.0f} s") from None


@asynccontextmanager
async def serve_helper(name: str) -> AsyncIterator[Child]:
    """Run the server ``benchmarks.<name>``, which accepts connections by then."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"benchmarks.{name}", stdin=PIPE, stdout=PIPE
    )
    helper = Child(process, name=name, port=int(await _read_line(process, name)))
    try:
        yield helper
    finally:
        await helper.stop()


async def start_command(*args: str, cwd: Path, port: int, http_port: int = 0) -> Child:
    """Start ``otelbridge`` with ``args``, writing what it says to ``otelbridge.log`` in ``cwd``."""
    with (cwd / "otelbridge.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "otelbridge", *args),
            cwd=cwd,
            env=_plain_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    return Child(process, name=f"otelbridge {args[0]}", port=port, http_port=http_port)


def _plain_environment() -> dict[str, str]:
    """The environment without what would configure the bridge behind the benchmark's back."""
    prefixes = ("OTEL_", "OTELBRIDGE_")
    return {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}


async def _read_line(process: Process, name: str) -> str:
    if process.stdout is None:
        raise BenchmarkError(f"{name} says nothing")
    line = await process.stdout.readline()
    if not line:
        raise BenchmarkError(f"{name} ended with status {await process.wait()}")
    return line.decode()
