"""Time and chance, passed in so that tests have neither."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time and chance.

    Attributes:
        now_ns: The time, in nanoseconds since 1970; it may jump.
        elapsed_s: A clock that never jumps, in seconds since some moment.
        sleep: Waits for some seconds.
        random: Draws from 0 to 1.
    """

    now_ns: Callable[[], int] = time.time_ns
    elapsed_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Coroutine[object, object, None]] = asyncio.sleep
    random: Callable[[], float] = random.random


async def either(*waits: Coroutine[object, object, object]) -> None:
    """Wait for the first of several to end; cancel the others."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
