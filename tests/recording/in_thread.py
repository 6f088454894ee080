"""A core in a thread of this process: what group commit is tried with."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.core.core import Core


class InThread:
    """Calls a core in one thread; each method returns a future, as `CoreProcess` does.

    Args:
        core: The core.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._thread = ThreadPoolExecutor(1)

    def __getattr__(self, name: str) -> Callable[..., asyncio.Future[Any]]:
        return partial(self._call, getattr(self._core, name))

    async def close(self) -> None:
        await self._call(self._core.close)
        self._thread.shutdown()

    def _call(
        self, method: Callable[..., Any], *args: object, **kwargs: object
    ) -> asyncio.Future[Any]:
        return asyncio.wrap_future(self._thread.submit(partial(method, *args, **kwargs)))
