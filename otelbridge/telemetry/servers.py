"""MCP servers: where a tool was run, and why that failed, without any secret."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry import wire

_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Length of a URL, in characters; a longer one is not told.
MAX_URL = 1024

# The first that fits names the error.
_ERRORS = (
    ("timeout", re.compile(r"time[d ]*-?out|deadline exceeded", re.IGNORECASE)),
    ("cancelled", re.compile(r"cancel{1,2}ed", re.IGNORECASE)),
    (
        "unauthorized",
        re.compile(r"unauthori[sz]ed|forbidden|permission denied|\b40[13]\b", re.IGNORECASE),
    ),
    (
        "connection_error",
        re.compile(
            r"connect|\bdial\b|no such host|broken pipe|unreachable|\bEOF\b|\bTLS\b", re.IGNORECASE
        ),
    ),
    ("tool_error", re.compile(r"\btool\b|tool_error|isError", re.IGNORECASE)),
)
# The words that decide stand at the front; a long text is not searched to its end.
_SEARCHED = 1024


class _Server(NamedTuple):
    """A URL without what may be secret; no port where the URL leaves it to the scheme."""

    scheme: str
    host: str
    port: int | None
    path: str


def server_attributes(url: str) -> tuple[bytes, ...]:
    """Return the server's address, port and URL without user information, query and fragment.

    A text that is no http or https URL, or has more than 1024 characters, is
    not told at all: it cannot be seen which part of it is secret.
    """
    return _server_attributes(url) if len(url) <= MAX_URL else ()


def server_address(url: str) -> str:
    """Return the server's address as `server_attributes` tells it; ``unknown`` if it does not."""
    return _server_address(url) if len(url) <= MAX_URL else sc.UNKNOWN


@lru_cache(maxsize=1024)
def _server_attributes(url: str) -> tuple[bytes, ...]:
    server = _server(url)
    if server is None:
        return ()
    scheme, host, port, path = server
    netloc = f"[{host}]" if ":" in host else host
    netloc = netloc if port is None else f"{netloc}:{port}"
    return (
        wire.text(sc.SERVER_ADDRESS, host),
        wire.integer(sc.SERVER_PORT, _DEFAULT_PORTS[scheme] if port is None else port),
        wire.text(sc.MCP_SERVER_URL, f"{scheme}://{netloc}{path}"),
    )


@lru_cache(maxsize=1024)
def _server_address(url: str) -> str:
    server = _server(url)
    return sc.UNKNOWN if server is None else server.host


def _server(url: str) -> _Server | None:
    """Return the parts of an http or https URL that may be told; None for any other text."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        return None
    return _Server(parts.scheme, host, port, parts.path)


def tool_error_type(message: str) -> str:
    """Return ``error.type`` for a gateway's words about a tool that it could not run."""
    for name, pattern in _ERRORS:
        if pattern.search(message, 0, _SEARCHED):
            return name
    return sc.OTHER
