"""Watched store files, and what is logged of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from otelbridge.store import StoreWatcher
from otelbridge.store.reloading import StoreFile
from tests.store.files import GATEWAY, open_store, write_store

LIMIT_S = 10


class Lines(logging.Handler):
    """What is logged, with its level."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.seen.put_nowait((record.levelname, record.getMessage()))

    async def next(self) -> tuple[str, str]:
        """Return the next line; an error if there is none."""
        async with asyncio.timeout(LIMIT_S):
            return await self.seen.get()


@asynccontextmanager
async def watching(
    directory: Path, text: str = GATEWAY, environ: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[StoreWatcher, Lines]]:
    """Watch a store file, looking at it often; give the watcher and the log."""
    store = open_store(directory, text, environ)
    file = StoreFile(directory / "store.toml", environ or {})
    file.load()
    watcher, lines = StoreWatcher(store, file, look_s=0.01), Lines()
    logger = logging.getLogger("otelbridge.store.watching")
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    watcher.start()
    try:
        yield watcher, lines
        await watcher.stop()
        assert lines.seen.empty()
    finally:
        await watcher.stop()
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(lines)


def edit(directory: Path, text: str) -> None:
    """Write the store file as editors do."""
    (directory / "new").mkdir(exist_ok=True)
    write_store(directory / "new", text).rename(directory / "store.toml")
