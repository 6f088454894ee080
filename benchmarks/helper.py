"""The helper's end of a `benchmarks.child`: a port first, then a line for each line."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


async def answer_until_eof(port: int, answer: Callable[[], str]) -> None:
    """Print ``port``, then ``answer()`` for every line read; return when input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(port, flush=True)
    while await reader.readline():
        print(answer(), flush=True)
