"""What Linux tells about processes, the processors and the disk.

Source: proc(5).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
# Of a stat file's fields after the name, which is in parentheses and may hold spaces.
_UTIME, _STIME = 11, 12
_IN_MEMORY: Final = {"tmpfs", "ramfs"}
_FSYNCS: Final = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadTime:
    """CPU time of one thread.

    Attributes:
        name: As the kernel knows it: at most 15 characters.
        user_s: In the program, in seconds.
        system_s: In the kernel, in seconds.
    """

    name: str
    user_s: float
    system_s: float


def cpu_s(pid: int) -> float:
    """CPU time so far of a process with all its threads, and of its children."""
    return own_cpu_s(pid) + sum(map(cpu_s, children(pid)))


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    thread_dirs = (_PROC / str(pid) / "task").iterdir()
    return [int(child) for one in thread_dirs for child in _words(one / "children")]


def own_cpu_s(pid: int) -> float:
    """CPU time so far of a process with all its threads."""
    times = _times(_PROC / str(pid) / "stat")
    return times.user_s + times.system_s


def threads(pid: int) -> dict[int, ThreadTime]:
    """CPU time so far of each living thread of a process, by thread id."""
    return {int(one.name): _times(one / "stat") for one in (_PROC / str(pid) / "task").iterdir()}


def memory_bytes(pid: int) -> tuple[int, int]:
    """Resident memory of a process: now, and at most so far."""
    lines = (_PROC / str(pid) / "status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    now, most = (int(status[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
    return now, most


def busy_s() -> float:
    """CPU time so far that anybody used on this machine, and that its host took away."""
    user, nice, system, _idle, _wait, irq, softirq, steal, *_ = map(
        int, _words(_PROC / "stat")[1:9]
    )
    return (user + nice + system + irq + softirq + steal) * _TICK_S


def is_in_memory(directory: Path) -> bool:
    """Whether a directory is on a file system that no fsync reaches a disk from."""
    kinds = {}
    for mount in (_PROC / "self" / "mounts").read_text().splitlines():
        _device, place, kind, *_ = mount.split()
        kinds[Path(place)] = kind
    real = directory.resolve()
    return next(kinds[at] for at in (real, *real.parents) if at in kinds) in _IN_MEMORY


def fsync_s(directory: Path) -> float:
    """How long one small write and fsync take there: the median of several."""
    took = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(_FSYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def _times(stat: Path) -> ThreadTime:
    text = stat.read_text()
    fields = text[text.rindex(")") + 2 :].split()
    return ThreadTime(
        name=text[text.index("(") + 1 : text.rindex(")")],
        user_s=int(fields[_UTIME]) * _TICK_S,
        system_s=int(fields[_STIME]) * _TICK_S,
    )


def _words(path: Path) -> list[str]:
    return path.read_text().split()
