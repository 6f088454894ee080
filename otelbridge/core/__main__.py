"""The process of the core: ``python -m otelbridge.core FD``, started by the bridge alone.

It ends with the bridge: its socket is closed then, however the bridge ended.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sqlite3
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from otelbridge.core.channel import Channel, PackedResult, Rows
from otelbridge.core.core import open_core
from otelbridge.errors import OtelBridgeError
from otelbridge.logs import set_up_logging
from otelbridge.recording import Result, Submission

if TYPE_CHECKING:
    from otelbridge.core.channel import Hello, Request
    from otelbridge.core.core import Core

logger = logging.getLogger("otelbridge.core")

# As Submission._make, which takes twice as long.
_SUBMISSION = partial(tuple.__new__, Submission)


def main() -> None:
    """Serve the bridge at the other end of the socket until it closes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Sent to the whole group by a terminal or a supervisor: the bridge drains first.
        signal.signal(number, signal.SIG_IGN)
    with Channel(socket.socket(fileno=int(sys.argv[1]))) as channel:
        try:
            _serve(channel)
        except (EOFError, OSError):
            # The bridge has gone; what was acknowledged is on disk.
            logger.info("the bridge has ended")


def _serve(channel: Channel) -> None:
    hello: Hello = channel.receive()
    set_up_logging(hello.config.log, level=hello.log_level)
    try:
        core, opened = open_core(hello.config, clock_ns=hello.clock_ns, pid=os.getppid())
    except Exception as error:  # noqa: BLE001  # the process's edge: told to the bridge
        channel.send(_portable(error))
        return
    channel.send(opened)
    gc.collect()
    gc.freeze()  # see `otelbridge.commands.serve`
    gc.set_threshold(100_000, 50, 100)
    request: Request | None = None
    while request is None or request.method != "close":
        request = channel.receive()
        channel.send(_answer(core, request))


def _answer(core: Core, request: Request) -> Any:
    try:
        args = request.args
        if request.method == "commit":
            args = list(map(_SUBMISSION, args[0])), args[1]
        answer = getattr(core, request.method)(*args, **request.kwargs)
    except sqlite3.Error as error:
        return core.error_of(error)
    except Exception as error:  # the process's edge: told to the bridge
        if not isinstance(error, OtelBridgeError):
            logger.exception("%s failed", request.method)
        return _portable(error)
    if isinstance(answer, Result):
        outcomes = [each if each is None else _portable(each) for each in answer.outcomes]
        return PackedResult.of(answer._replace(outcomes=outcomes))
    return Rows.of(answer) if request.method == "read" else answer


def _portable(error: Exception) -> Exception:
    """Return an error that every process can read."""
    if isinstance(error, OtelBridgeError):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
