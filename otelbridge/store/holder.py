"""The live store: the current snapshot, and who waits for its providers to change."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.access import gateway_of
from otelbridge.store.loading import load_store
from otelbridge.store.token_file import TokenFile

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from pathlib import Path

    from otelbridge.domain.access import Snapshot


_NS = 1_000_000_000


class StoreHealth(NamedTuple):
    """Whether the store file is what is answered from.

    Attributes:
        problems: How many mistakes the file has.
        age_s: Seconds since the file was found to be wrong; 0 while it is right.
    """

    problems: int = 0
    age_s: float = 0.0

    def told(self) -> dict[str, object]:
        """Return what /readyz says of it."""
        if not self.problems:
            return {"status": "current"}
        return {"status": "stale", "age_s": round(self.age_s, 1), "problems": self.problems}


class Store:
    """Holds the snapshot that everything is answered from.

    A reader takes `snapshot` once and answers from it: a swap in between
    changes nothing for it. All methods are for the event loop's thread.

    Args:
        snapshot: The first snapshot.
        tokens_path: Where tokens are kept that change by themselves.
        monotonic_ns: A clock.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        tokens_path: Path,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._snapshot = snapshot
        self._monotonic_ns = monotonic_ns
        self._problems = 0
        self._wrong_since_ns = 0
        self.tokens = TokenFile(tokens_path)
        self._swaps = 0
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

    @property
    def health(self) -> StoreHealth:
        """Return whether the file is what is answered from."""
        if not self._problems:
            return StoreHealth()
        return StoreHealth(self._problems, (self._monotonic_ns() - self._wrong_since_ns) / _NS)

    def swap(self, snapshot: Snapshot) -> None:
        """Answer from another snapshot from now on."""
        self._provider_changes += snapshot.providers != self._snapshot.providers
        self._snapshot = snapshot
        self._swaps += 1
        self._problems = 0
        self._wake()

    def keep(self, problems: Sequence[str]) -> None:
        """Note that the file is wrong: what was last right stays in force."""
        if not self._problems:
            self._wrong_since_ns = self._monotonic_ns()
        self._problems = len(problems)

    def close(self) -> None:
        """End every `watch` and `watch_providers`."""
        self._is_closed = True
        self._wake()

    async def watch(self) -> AsyncGenerator[None, None]:
        """Yield at once, then after each swap, until the store closes.

        For who must know when what was allowed no longer is. Swaps while the
        consumer is busy are one: `snapshot` is the last.
        """
        seen = self._swaps
        yield
        while not self._is_closed:
            if seen < self._swaps:
                seen = self._swaps
                yield
            else:
                await self._woken.wait()

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

    def _wake(self) -> None:
        self._woken.set()
        self._woken = asyncio.Event()
