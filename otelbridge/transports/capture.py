"""Captures: recorded calls, one a line, as JSON.

A line is ``{"rpc": "Recorder/RecordInterception", "at": 0.0, "request": {…}}``:
the request in the protobuf JSON mapping, ``at`` in seconds since the capture began.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# Metadata values are Any of its Value: the JSON mapping looks the type up by name.
from google.protobuf import struct_pb2  # noqa: F401
from google.protobuf.json_format import ParseDict, ParseError

from otelbridge.errors import ConfigError, escaped
from otelbridge.servicers.methods import request_classes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.message import Message

_KEYS = frozenset({"rpc", "at", "request"})
_REQUESTS = request_classes()
_STARTS = "Recorder/RecordInterception"
_MAX_AT_S = 10 * 366 * 86400  # ten years
# Longer texts of a parser repeat the request.
_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedCall:
    """One recorded call.

    Attributes:
        rpc: ``Service/Method``.
        at_s: When it was sent, in seconds since the capture began.
        request: What was sent.
    """

    rpc: str
    at_s: float
    request: Message

    @property
    def interception(self) -> str:
        """Return the id of the interception that it records; empty if it records none."""
        if not self.rpc.startswith("Recorder/"):
            return ""
        request: Any = self.request
        is_own = "id" in request.DESCRIPTOR.fields_by_name
        return str(request.id if is_own else request.interception_id).lower()

    @property
    def is_start(self) -> bool:
        """Return whether it starts an interception."""
        return self.rpc == _STARTS


def read_capture(path: Path) -> list[CapturedCall]:
    """Read a capture; the calls come in the order of their times.

    Raises:
        ConfigError: If the file cannot be read, or a line is no call; the text
            names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError("", f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError("", f"{path}: not UTF-8 text") from None
    calls = sorted(_calls(str(path), text), key=lambda call: call.at_s)
    if not calls:
        raise ConfigError("", f"{path}: holds no call")
    return calls


def _calls(name: str, text: str) -> Iterator[CapturedCall]:
    # Not splitlines(): JSON texts may hold the other line ends of Unicode.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield _call(line)
        except ValueError as error:
            raise ConfigError("", f"{name}:{number}: {error}") from None


def _call(line: str) -> CapturedCall:
    found = _object(line)
    unknown = sorted(found.keys() - _KEYS)
    if unknown:
        raise ValueError(f'unknown key "{escaped(unknown[0])}"')
    rpc, at_s, request = found.get("rpc"), found.get("at", 0.0), found.get("request", {})
    if not isinstance(rpc, str) or rpc not in _REQUESTS:
        raise ValueError(f'rpc: "{escaped(str(rpc))}" is not a method of the contract')
    # NaN compares false; JSON's integers may be too large for a float.
    if isinstance(at_s, bool) or not isinstance(at_s, int | float) or not 0 <= at_s <= _MAX_AT_S:
        raise ValueError("at: not a number of seconds since the capture began")
    if not isinstance(request, dict):
        raise ValueError("request: not an object")  # noqa: TRY004  # the file's mistake
    return CapturedCall(rpc=rpc, at_s=float(at_s), request=_request(rpc, request))


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except RecursionError:
        raise ValueError("not JSON: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # the file's mistake
    return found


def _request(rpc: str, fields: dict[str, Any]) -> Message:
    try:
        return ParseDict(fields, _REQUESTS[rpc]())
    except (ParseError, ValueError, TypeError) as error:
        reason = escaped(str(error).partition("\n")[0], _REASON_LENGTH)
        raise ValueError(f"request: {reason}") from None
