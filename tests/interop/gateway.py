"""Driving the Go program that speaks as a stock gateway, or as the other end of one."""

from __future__ import annotations

import json
import subprocess
import threading
from base64 import b64decode, b64encode
from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from otelbridge.servicers.methods import request_classes
from tests.interop.programs import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google.protobuf.message import Message

#: The exit code of a gateway that was refused for good.
REFUSED = 3
#: The one RPC that answers with a stream.
WATCH = "/proto.ProviderConfigurator/WatchAIProviders"

_METHODS = {kind: name for name, kind in request_classes().items()}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a call ended.

    Attributes:
        response: What was answered; None if nothing was.
        messages: How many messages a stream had.
        error: What the client library says of a failure; empty without one.
        code: The error's code.
        ms: How long it took, from the request's line on.
    """

    response: bytes | None
    messages: int
    error: str
    code: int
    ms: float


class GoProgram:
    """A Go program that reads lines, and prints a JSON object a line.

    Args:
        command: How it is started.
        folder: Where its standard error is kept.
    """

    def __init__(self, *command: str | Path, folder: Path) -> None:
        self._log = folder / "gateway.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                text=True,
            )
        self.events: list[dict[str, Any]] = []
        self.messages: defaultdict[str, list[bytes]] = defaultdict(list)
        self._answers: dict[str, Answer] = {}
        self._printed = threading.Condition()
        self._is_over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def write(self, *lines: str) -> None:
        """Write lines to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.writelines(f"{line}\n" for line in lines)
        self._process.stdin.flush()

    def await_event(self, name: str, number: int = 1, **fields: object) -> dict[str, Any]:
        """Return the n-th event of a name, and with these fields, as soon as it is printed."""
        what = f"{number} x {name} {fields}"
        self._wait(lambda: len(self.named(name, **fields)) >= number, what=what)
        return self.named(name, **fields)[number - 1]

    def named(self, name: str, **fields: object) -> list[dict[str, Any]]:
        """Return the events of a name, and with these fields, that were printed so far."""
        wanted = {"event": name, **fields}.items()
        return [event for event in self.events if wanted <= event.items()]

    def answer(self, call: str) -> Answer:
        """Return how a call ended as soon as it has."""
        self._wait(lambda: call in self._answers, what=f"an answer to call {call}")
        return self._answers[call]

    def await_message(self, call: str, number: int) -> bytes:
        """Return the n-th message of a stream as soon as it has come."""
        what = f"message {number} of call {call}"
        self._wait(lambda: len(self.messages[call]) >= number, what=what)
        return self.messages[call][number - 1]

    def has_ended(self, call: str) -> bool:
        """Return whether a call is over."""
        return call in self._answers

    def end_input(self) -> None:
        """Tell it that no more lines come."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        return self._process.wait(20.0)

    def close(self) -> int:
        """End its input, and return its exit code: it ends after the last answer."""
        self.end_input()
        try:
            return self.wait()
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _wait(self, is_there: Callable[[], bool], *, what: str, timeout_s: float = 20.0) -> None:
        with self._printed:
            self._printed.wait_for(lambda: is_there() or self._is_over, timeout_s)
            assert is_there(), f"no {what}; {self.events[-5:]}\n{self._log.read_text()[-2000:]}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._printed:
                self._keep(json.loads(line))
                self._printed.notify_all()
        with self._printed:
            self._is_over = True
            self._printed.notify_all()

    def _keep(self, line: dict[str, Any]) -> None:
        if "event" in line:
            self.events.append(line)
        elif "message" in line:
            self.messages[line["id"]].append(b64decode(line["message"]))
        else:
            call, response = line.pop("id"), line.pop("response")
            raw = None if response is None else b64decode(response)
            self._answers[call] = Answer(response=raw, **line)


class Gateway(GoProgram):
    """A stock gateway.

    Args:
        executable: The Go program.
        url: The bridge.
        key: The gateway's key; none is shown if empty.
        folder: Where its standard error is kept.
        arguments: More of the program's flags.
    """

    def __init__(self, executable: Path, url: str, *arguments: str, key: str, folder: Path) -> None:
        super().__init__(executable, "-url", url, "-key", key, *arguments, folder=folder)
        self._ids = map(str, count(1))

    def begin(self, request: Message | bytes, rpc: str = "", **options: Any) -> str:
        """Make a call; return its id.

        Args:
            request: The request.
            rpc: The wire path; "" for the one that takes such a request.
            options: More of the line's fields.
        """
        call = next(self._ids)
        self.write(line_of(request, rpc, id=call, **options))
        return call

    def call(self, request: Message | bytes, rpc: str = "", **options: Any) -> Answer:
        """Make a call and return how it ended; see `begin`."""
        return self.answer(self.begin(request, rpc, **options))

    def cancel(self, call: str) -> None:
        """Cancel a call that is under way."""
        self.write(json.dumps({"cancel": call}))

    def await_pings(self, number: int) -> Answer:
        """Return after its keepalive has got so many answers."""
        return self.call(b"", await_pings=number)


def line_of(request: Message | bytes, rpc: str = "", **options: Any) -> str:
    """Return the line that makes a call; see `Gateway.begin`."""
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    path = rpc or ("" if isinstance(request, bytes) else f"/proto.{_METHODS[type(request)]}")
    return json.dumps({"rpc": path, "request": b64encode(raw).decode(), **options})
