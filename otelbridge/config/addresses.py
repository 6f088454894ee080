"""Addresses and endpoints as people write them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from otelbridge.errors import escaped

_MAX_PORT = 65535
_MAX_DIGITS = 5
_HOST = re.compile(r"[A-Za-z0-9._-]+")


def split_address(value: str) -> tuple[str, int]:
    """Return the host and port of ``HOST:PORT``; an IPv6 host stands in brackets.

    Raises:
        ValueError: If the value is not of that form, or the port is over 65535.
    """
    host, _, port = value.rpartition(":")
    if not _is_host(host):
        raise ValueError(f'"{escaped(value)}" is not of the form HOST:PORT')
    is_number = port.isascii() and port.isdigit() and len(port) <= _MAX_DIGITS
    if not is_number or int(port) > _MAX_PORT:
        raise ValueError(f'port "{escaped(port)}" is not a number from 0 to {_MAX_PORT}')
    return host, int(port)


def _is_host(host: str) -> bool:
    if not (host.startswith("[") and host.endswith("]")):
        return _HOST.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True


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
        is_url = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_url = False
    if "@" in (url.netloc if is_url else value):
        # The text may hold a password: it is not repeated.
        raise ValueError("credentials are not allowed in an endpoint, use headers")
    if not is_url or not value.isprintable() or " " in value:
        shown = escaped(value.partition("?")[0])  # a query may be a secret
        raise ValueError(f'"{shown}" is not a URL of the form http(s)://HOST[:PORT][/PATH]')


def check_link(value: str) -> None:
    """Check a URL that a person's browser is led to.

    Raises:
        ValueError: If it is not an http or https URL with a host, or carries
            user information.
    """
    try:
        url = urlsplit(value)
        is_url = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_url = False
    if "@" in (url.netloc if is_url else value):
        raise ValueError("credentials are not allowed in a link")  # they are not repeated
    if not is_url or not value.isprintable() or " " in value:
        raise ValueError(
            f'"{escaped(value)}" is not a URL of the form http(s)://HOST[:PORT][/PATH]'
        )


def check_base_endpoint(value: str) -> None:
    """Check a URL that a path is appended to.

    Raises:
        ValueError: If it is no endpoint, or ends in a query or a fragment.
    """
    check_endpoint(value)
    if "?" in value or "#" in value:
        raise ValueError(
            "a query or fragment is not allowed here, set traces_endpoint, metrics_endpoint and "
            "logs_endpoint"
        )
