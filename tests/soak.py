"""Long runs: a test that can go on takes one turn, and as many as there is time in ``make soak``.

for turn in turns():
    ...  # with turn as the seed of all that is left to chance
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from itertools import count


def turns() -> Iterator[int]:
    """Yield 0; then 1, 2 ... until ``SOAK_S`` seconds are over, if that is set."""
    seconds, began = float(os.environ.get("SOAK_S", "0")), time.monotonic()
    for turn in count():
        if turn and time.monotonic() - began >= seconds:
            break
        yield turn
    if seconds:
        sys.stdout.write(f"{turn} turns in {time.monotonic() - began:.0f} s\n")
