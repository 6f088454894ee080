"""Where the bridge's time goes: CPU time by thread, and py-spy's samples if it is installed.

py-spy samples who holds the GIL: that is what the threads of one process compete for.
Sampling slows the bridge down, so the rate printed with it is no result.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import proc
from benchmarks.load import run_load

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from benchmarks.child import Child

_SAMPLES: Final = Path("build/bridge-profile.txt")
_SHOWN: Final = 30
_LINE_NUMBER: Final = re.compile(r":\d+(?=\)$)")


async def profile(bridge: Child, *, seconds: float) -> None:
    """Load the bridge for ``seconds`` and print what its threads and functions took."""
    before = proc.threads(bridge.pid)
    sampler = await _start_sampling(bridge.pid, seconds)
    load = await run_load(bridge.port, seconds=seconds)
    after = proc.threads(bridge.pid)
    print(f"{load.rate:,.0f} calls/s, {load.calls:,} in all\n")
    print(f"{'thread':>8}  {'name':16}{'user':>8}{'system':>8}   µs a call")
    for thread_id, times in sorted(after.items()):
        user_s, system_s = times.user_s, times.system_s
        if old := before.get(thread_id):
            user_s, system_s = user_s - old.user_s, system_s - old.system_s
        per_call_us = (user_s + system_s) / load.calls * 1e6
        print(f"{thread_id:8}  {times.name:16}{user_s:8.2f}{system_s:8.2f}{per_call_us:8.1f}")
    if sampler is None:
        print("\npy-spy is not installed: `pip install py-spy` shows functions, too")
    elif await sampler.wait() == 0:
        _print_samples(_SAMPLES.read_text())


async def _start_sampling(pid: int, seconds: float) -> Process | None:
    beside_python = str(Path(sys.executable).parent)
    py_spy = shutil.which("py-spy") or shutil.which("py-spy", path=beside_python)
    if py_spy is None:
        return None
    _SAMPLES.parent.mkdir(exist_ok=True)
    return await asyncio.create_subprocess_exec(
        *(py_spy, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds)))),
        *("--gil", "--format", "raw", "--output", str(_SAMPLES)),
        stdout=asyncio.subprocess.DEVNULL,
    )


def _print_samples(text: str) -> None:
    """Print the functions that were on top, and those that were anywhere on the stack.

    Each line is a stack, outermost function first, separated by semicolons, then a count.
    """
    on_top: Counter[str] = Counter()
    anywhere: Counter[str] = Counter()
    for line in text.splitlines():
        stack, times = line.rsplit(" ", 1)
        functions = [_LINE_NUMBER.sub("", one) for one in stack.split(";")]
        on_top[functions[-1]] += int(times)
        anywhere.update(dict.fromkeys(functions, int(times)))
    total = max(1, on_top.total())
    for title, counts in (("itself", on_top), ("with what it calls", anywhere)):
        print(f"\nshare of the GIL, {title}")
        for function, count in counts.most_common(_SHOWN):
            print(f"{count / total:8.1%}  {function}")
    print(f"\nall stacks: {_SAMPLES}")
