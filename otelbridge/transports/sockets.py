"""Listening sockets, and errors that say why one cannot be had."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from otelbridge.config import split_address
from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


def bind(address: str, *, key: str) -> list[socket.socket]:
    """Return sockets bound to all that the host of ``HOST:PORT`` stands for.

    With port 0 they share the one that the first of them was given. They do
    not listen yet.

    Raises:
        ConfigError: Under ``key``, if the host is unknown, the port is in use,
            or binding is not permitted.
    """
    host, port = split_address(address)
    sockets: list[socket.socket] = []
    try:
        for family, host_ip in _resolved(host):
            opened = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(opened)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.bind((host_ip, port))
            port = int(opened.getsockname()[1])
    except OSError as error:
        for opened in sockets:
            opened.close()
        raise ConfigError(key, _reason(address, error)) from None
    return sockets


def check_free(address: str, *, key: str) -> None:
    """Check that an address can be bound now.

    Raises:
        ConfigError: See `bind`.
    """
    for opened in bind(address, key=key):
        opened.close()


def _resolved(host: str) -> Iterator[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(
        host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    for family, _, _, _, address in dict.fromkeys(found):
        yield family, str(address[0])


def _reason(address: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is already in use"
    return f"cannot listen on {address}: {(error.strerror or str(error)).lower()}"
