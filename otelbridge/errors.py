"""The exceptions of otelbridge: one tree, a class for each reaction.

OtelBridgeError
├── ConfigError            a setting is wrong: one line, exit 1 or 2
├── StoreError             the store file is wrong: the last good snapshot stays
├── OAuthError             an authorization server refused, failed or could not be reached
├── ProtocolError          a peer broke a protocol's rules: that session, or call, is over
├── CallError              a call is answered with an error; transports map the class to a status
│   ├── InvalidRequestError    INVALID_ARGUMENT
│   ├── AlreadyExistsError     ALREADY_EXISTS
│   ├── UnauthenticatedError   UNAUTHENTICATED
│   ├── PermissionDeniedError  PERMISSION_DENIED
│   ├── LimitExceededError     RESOURCE_EXHAUSTED
│   └── UnavailableError       UNAVAILABLE, with the time to wait
└── JournalError           the journal cannot be opened, read or written
    ├── JournalLockedError     another process holds it
    ├── JournalFullError       the disk is full: later commits may succeed
    ├── JournalDamagedError    its file is damaged: the next start salvages what can be read
    └── CoreLostError          the process that holds it has ended
"""

from __future__ import annotations

import copyreg
import re
from typing import Any, Literal, TypeAlias

ProtocolErrorKind: TypeAlias = Literal[
    "framing",  # bytes that are no frame: an unknown version or type, a broken number
    "sequence",  # a well-formed frame that is not allowed now
    "flow_control",  # more than the window, or a window over its limit
    "too_large",  # a frame or message over its limit
    "flood",  # a peer that asks for answers and does not read them
    "timeout",  # a peer that has been silent for too long
    "go_away",  # a peer that says it gives up over a mistake, of ours or its own
]

_ECHO_LIMIT = 64
_OAUTH_LIMIT = 400  # what a gateway is told about one MCP server
# A URL's user information, query and fragment may be secrets.
_USERINFO = re.compile(r"(?<=://)[^/?#\s\"']*@")
_QUERY = re.compile(r"(://[^?#\s\"']*)[?#][^\s\"']*")


def escaped(value: str, limit: int = _ECHO_LIMIT) -> str:
    r"""Return a client's text made safe for an error, a log line or a label.

    Unprintable characters (control codes, lone surrogates, bidirectional
    marks) become ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``; what is longer than
    ``limit`` characters is cut.
    """
    text = value[:limit]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)[:limit]


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:  # noqa: PLR2004  # one byte
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  # the BMP


class OtelBridgeError(Exception):
    """Base class of all errors raised by otelbridge.

    They pass between processes whatever their constructors take.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ConfigError(OtelBridgeError):
    """A setting is wrong.

    Attributes:
        key: The dotted name of the setting, as in ``listen.grpc``.
        problem: What is wrong with it: the value, and what is allowed.
    """

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        self.problem = problem
        super().__init__(f"{key}: {problem}" if key else problem)


class StoreError(OtelBridgeError):
    """The store file is wrong.

    Attributes:
        problems: One line for each mistake, ``place: what is wrong``.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class OAuthError(OtelBridgeError):
    """An authorization server refused, failed, or could not be reached.

    The message is for people and gateways: at most 400 characters, escaped,
    and URLs in it have lost their user information and query. Who raises it
    puts no token, code or secret into it.

    Attributes:
        is_permanent: Whether the same request can only fail again.
        code: The server's ``error`` (RFC 6749, section 5.2; RFC 8628, section
            3.5), as ``invalid_grant``; empty without one.
        status: The HTTP status of its answer; 0 if there was none.
        retry_after_s: When to try again, in seconds, if the server said so.
    """

    def __init__(
        self,
        message: str,
        *,
        is_permanent: bool = False,
        code: str = "",
        status: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        self.is_permanent = is_permanent
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s
        shown = _QUERY.sub(r"\1", _USERINFO.sub("", message[: 10 * _OAUTH_LIMIT]))
        super().__init__(escaped(shown, _OAUTH_LIMIT))


class ProtocolError(OtelBridgeError):
    """A peer broke the rules of a protocol; what it spoke over is dead.

    Attributes:
        kind: What sort of mistake it was: one word of a closed set, for a metric.
    """

    def __init__(self, kind: ProtocolErrorKind, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class CallError(OtelBridgeError):
    """A call is answered with an error; its text is what the client sees."""


class InvalidRequestError(CallError):
    """The request breaks the contract: sending it again cannot help."""


class AlreadyExistsError(CallError):
    """A different start was already recorded under this interception id."""


class UnauthenticatedError(CallError):
    """Who calls, or whose key this is, could not be established."""


class PermissionDeniedError(CallError):
    """Who calls is known and may not."""


class LimitExceededError(CallError):
    """A named limit was exceeded."""


class UnavailableError(CallError):
    """The call may succeed later.

    Attributes:
        retry_after_s: When to try again, in seconds.
    """

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class JournalError(OtelBridgeError):
    """The journal cannot be opened, read or written."""


class JournalLockedError(JournalError):
    """Another process holds the journal."""


class JournalFullError(JournalError):
    """The disk is full: nothing of the transaction was committed; a later one may succeed."""


class JournalDamagedError(JournalError):
    """The journal's file is damaged: the next start salvages what can be read."""


class CoreLostError(JournalError):
    """The process that holds the journal has ended: nothing can be committed any more."""
