"""The live store: the current snapshot, and who waits for its providers to change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otelbridge.domain.access import gateway_of
from otelbridge.store.loading import load_store
from otelbridge.store.tokens import read_links

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from otelbridge.domain.access import Snapshot
    from otelbridge.store.tokens import Links


class Store:
    """Holds the snapshot that everything is answered from.

    A reader takes `snapshot` once and answers from it: a swap in between
    changes nothing for it. All methods are for the event loop's thread.

    Args:
        snapshot: The first snapshot.
        tokens_path: Where tokens are kept that change by themselves.
    """

    def __init__(self, snapshot: Snapshot, *, tokens_path: Path) -> None:
        self._snapshot = snapshot
        self._tokens_path = tokens_path
        self._provider_changes = 0
        self._is_closed = False
        self._woken = asyncio.Event()

    @classmethod
    def load(cls, path: Path, environ: Mapping[str, str]) -> Store:
        """Load the store file; its tokens are in ``tokens.json`` beside it.

        Raises:
            StoreError: See `load_store`.
        """
        return cls(load_store(path, environ), tokens_path=path.with_name("tokens.json"))

    @property
    def snapshot(self) -> Snapshot:
        """Return the current snapshot."""
        return self._snapshot

    def gateway_name(self, key: str) -> str | None:
        """Return the name of the gateway whose key this is; None if it is nobody's."""
        gateway = gateway_of(self._snapshot, key)
        return None if gateway is None else gateway.name

    def swap(self, snapshot: Snapshot) -> None:
        """Answer from another snapshot from now on."""
        is_change = snapshot.providers != self._snapshot.providers
        self._snapshot = snapshot
        if is_change:
            self._provider_changes += 1
            self._wake()

    def close(self) -> None:
        """End every `watch_providers`."""
        self._is_closed = True
        self._wake()

    async def watch_providers(self) -> AsyncGenerator[None, None]:
        """Yield at once, then once for each change of the provider set, until the store closes.

        A change is one of a provider's fields, a rotated key included; another
        order in the file, or a write that changes nothing, is none. Changes
        while the consumer is busy are not lost.
        """
        seen = self._provider_changes
        yield
        while not self._is_closed:
            if seen < self._provider_changes:
                seen += 1
                yield
            else:
                await self._woken.wait()

    async def links(self) -> Links:
        """Read the users' logins at MCP servers.

        Raises:
            StoreError: See `read_links`.
        """
        return await asyncio.to_thread(read_links, self._tokens_path)

    def _wake(self) -> None:
        self._woken.set()
        self._woken = asyncio.Event()
