"""The command as people run it."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment without what would configure a bridge or a terminal."""
    ours = ("OTEL_", "OTELBRIDGE_", "COLUMNS", "FORCE_COLOR", "TTY_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return {**kept, "COLUMNS": "80", **extra}


async def start(*arguments: str, folder: Path, **env: str) -> asyncio.subprocess.Process:
    """Start a command in a folder."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "otelbridge",
        *arguments,
        cwd=folder,
        env=environment(**env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> Done:
    """Return how it ended; kill it if it does not."""
    try:
        async with asyncio.timeout(_LIMIT_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    return Done(process.returncode or 0, out.decode(), err.decode())


async def run(*arguments: str, folder: Path, **env: str) -> Done:
    """Run a command that ends by itself."""
    return await ended(await start(*arguments, folder=folder, **env))
