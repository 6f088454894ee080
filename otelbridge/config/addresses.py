"""Addresses and endpoints as people write them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from otelbridge.errors import escaped

_MAX_PORT = 65535


def split_address(value: str) -> tuple[str, int]:
    """Return the host and port of ``HOST:PORT``; an IPv6 host stands in brackets.

    Raises:
        ValueError: If the value is not of that form, or the port is over 65535.
    """
    host, colon, port = value.rpartition(":")
    if not colon or not host or (":" in host and not host.startswith("[")):
        raise ValueError(f'"{escaped(value)}" is not of the form HOST:PORT')
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise ValueError(f'port "{escaped(port)}" is not a number from 0 to {_MAX_PORT}')
    return host, int(port)


def is_loopback(address: str) -> bool:
    """Return whether ``HOST:PORT`` can only be reached from this machine."""
    host = split_address(address)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_endpoint(value: str) -> None:
    """Check the URL of an OTLP endpoint.

    Raises:
        ValueError: If it is not an http or https URL with a host, or carries
            user information (credentials belong in headers).
    """
    try:
        url = urlsplit(value)
        port_ok = url.port is None or url.port > 0
    except ValueError:
        port_ok = False
    if not port_ok or url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError(
            f'"{escaped(value)}" is not a URL of the form http(s)://HOST[:PORT][/PATH]'
        )
    if "@" in url.netloc:
        raise ValueError("credentials are not allowed in an endpoint, use headers")
