"""Failpoints: where a bridge under load is killed, and which of its processes.

``UNTELLABLE`` is a model whose interceptions the core cannot tell: a fault of the bridge that
nobody knows how to provoke from outside.

``SYNC_S`` is how long each sync of the core's disk takes, in seconds: a slow disk.

``FAILPOINT`` is ``POINT:VICTIM:NUMBER``: at the NUMBER-th time that a process comes to the
point after the first record, the core, the bridge or both are killed. Each point is a method
that is wrapped, or a moment of the disk; a name that is gone is an error when the program
starts.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from otelbridge.core.process import CoreProcess
from otelbridge.recording import GroupCommit
from tests.disk import SimulatedDisk

#: Every point, with what is known there of a record.
POINTS = {
    "before_insert": "it waits to be handed to the core",
    "in_commit": "a part of its transaction is written",
    "in_sync": "its transaction is written and not synced",
    "after_commit": "it is durable, and the bridge does not know",
    "before_reply": "it is durable, and its caller does not know",
    "after_reply": "its caller knows",
    "in_export": "its span is on its way",
    "after_export": "its span was taken, and that is not durable",
    "in_checkpoint": "the log is being moved into the database",
}
VICTIMS = ("core", "bridge", "both")
_FOLDER = Path(__file__).parent
_PYTHONPATH = f"{_FOLDER}:{_FOLDER.parent.parent}"
_IN_CORE = ("in_commit", "in_sync", "after_commit", "in_checkpoint")


class _Trigger:
    """Kills at the right time.

    Attributes:
        core: The process of the core; in the bridge's, once it has been started.
        is_armed: Whether a record has come: a start is not what is tried here.
    """

    def __init__(self, victim: str, number: int) -> None:
        self._victim = victim
        self._left = number
        self.core = 0
        self.is_armed = False

    def __call__(self) -> None:
        """Note that the point was reached."""
        if not self.is_armed:
            return
        self._left -= 1
        if self._left:
            return
        is_core = _is_core()
        bridge = os.getppid() if is_core else os.getpid()
        core = os.getpid() if is_core else self.core
        victims = {"core": [core], "bridge": [bridge], "both": [bridge, core]}[self._victim]
        # This process last.
        for pid in sorted(victims, key=lambda each: each == os.getpid()):
            os.kill(pid, signal.SIGKILL)

    def arm(self) -> None:
        """Count from now on."""
        self.is_armed = True


def environment(point: str, victim: str, number: int) -> dict[str, str]:
    """Return the variables that install a failpoint in a bridge and its core."""
    return {"PYTHONPATH": _PYTHONPATH, "FAILPOINT": f"{point}:{victim}:{number}"}


def slow_disk(sync_s: float) -> dict[str, str]:
    """Return the variables that make the core's disk a slow one."""
    return {"PYTHONPATH": _PYTHONPATH, "SYNC_S": str(sync_s)}


def slow_down(sync_s: str) -> None:
    """Have each sync take so long, if this process is the core's."""
    if _is_core():
        disk = SimulatedDisk()
        disk.sync_s = float(sync_s)
        disk.__enter__()


def untellable(model: str) -> dict[str, str]:
    """Return the variables that make a model's interceptions fail to be told."""
    return {"PYTHONPATH": _PYTHONPATH, "UNTELLABLE": model}


def make_untellable(model: str) -> None:
    """Have the telling of a model's interceptions fail, if this process is the core's."""
    if not _is_core():
        return
    from otelbridge.telemetry.teller import OtlpTeller  # noqa: PLC0415  # the core's process alone

    told = OtlpTeller.interception_closed

    def fail(self: OtlpTeller, interception: Any, changes: Any) -> Any:
        if interception.start is not None and interception.start.model == model:
            raise ArithmeticError(f"{model} cannot be told")
        return told(self, interception, changes)

    OtlpTeller.interception_closed = fail  # type: ignore[method-assign]


def install(what: str) -> None:
    """Install a failpoint in this process, if it is the one that comes there."""
    point, victim, number = what.split(":")
    if point not in POINTS:
        raise ValueError(f"there is no point {point}")
    trigger = _Trigger(victim, int(number))
    if not _is_core():
        _install_in_bridge(point, trigger)
    elif point in _IN_CORE:
        _install_in_core(point, trigger)


def _is_core() -> bool:
    return "otelbridge.core" in sys.orig_argv


def _install_in_core(point: str, trigger: _Trigger) -> None:
    from otelbridge.core.core import Core  # noqa: PLC0415  # the bridge's process has none

    if point == "after_commit":
        _wrap(Core, "commit", after=trigger)
    else:
        _Disk(point, trigger).__enter__()
    commit = Core.commit

    def armed(self: Core, batch: Any, side: Any) -> Any:
        if batch:
            trigger.arm()
        return commit(self, batch, side)

    Core.commit = armed  # type: ignore[method-assign]


def _install_in_bridge(point: str, trigger: _Trigger) -> None:
    started = CoreProcess.__init__

    def start(self: CoreProcess, *args: Any, **kwargs: Any) -> None:
        started(self, *args, **kwargs)
        trigger.core = self.pid

    CoreProcess.__init__ = start  # type: ignore[method-assign]
    _wrap(GroupCommit, "record", before=trigger.arm)
    if point == "before_insert":
        _wrap(CoreProcess, "commit", before=trigger)
    elif point == "before_reply":
        _wrap(GroupCommit, "_succeeded", before=trigger)
    elif point == "after_reply":
        _wrap(GroupCommit, "_succeeded", after=lambda: _soon(trigger))
    elif point == "in_export":
        from otelbridge.delivery.otlp_grpc import GrpcExporter  # noqa: PLC0415  # nor has the core's

        _wrap(GrpcExporter, "export", before=lambda: _soon(trigger))
    elif point == "after_export":
        _wrap(GroupCommit, "acknowledge", after=trigger)


def _soon(trigger: _Trigger) -> None:
    """Go on for as long as it takes to hand something to the kernel, then kill."""
    asyncio.get_running_loop().call_later(0.002, trigger)


def _wrap(
    owner: type,
    name: str,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> None:
    method = getattr(owner, name)

    @wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before()
        result = method(*args, **kwargs)
        after()
        return result

    setattr(owner, name, wrapped)


class _Disk(SimulatedDisk):
    """A disk that kills instead of doing what it is asked."""

    def __init__(self, point: str, trigger: _Trigger) -> None:
        super().__init__()
        self._point = point
        self._trigger = trigger

    def write(self, number: int, data: bytes, offset: int) -> int:
        """Write to a file."""
        is_log = self._name(number).endswith("-wal")
        if self._point == ("in_commit" if is_log else "in_checkpoint"):
            self._trigger()
        return super().write(number, data, offset)

    def sync(self, number: int) -> int:
        """Sync a file: for a killed process it makes no difference, but for a commit."""
        if self._point == "in_sync" and self._name(number).endswith("-wal"):
            self._trigger()
        return super().sync(number)

    def _name(self, number: int) -> str:
        return self._open[number][1].path.name
