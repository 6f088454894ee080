"""Where a bridge is, as a person writes it, and the connection to it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
import grpc.aio

from otelbridge.errors import ConfigError, escaped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_CONNECT_LIMIT_S = 5.0
_OPTIONS = (
    # A bridge is a neighbour; a proxy from the environment is for the world outside.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", -1),  # the bridge says what is too large
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a bridge is.

    Attributes:
        address: ``HOST:PORT``.
        secure: Whether TLS is used.
        ca: PEM file of the authorities to trust; the system's by default.
    """

    address: str
    secure: bool = False
    ca: Path | None = None

    @classmethod
    def parse(cls, url: str, *, ca: Path | None = None) -> Target:
        """Return the target that a URL names.

        Raises:
            ValueError: If it is not ``grpc://HOST:PORT`` or ``grpcs://HOST:PORT``.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme in {"ws", "wss"}:
            raise ValueError(f"{parts.scheme}:// is not supported yet, use grpc://HOST:PORT")
        is_whole = parts.hostname and port and parts.path in {"", "/"} and "@" not in parts.netloc
        if parts.scheme not in {"grpc", "grpcs"} or not is_whole:
            raise ValueError(f'"{escaped(url)}" is not of the form grpc://HOST:PORT')
        if ca is not None and parts.scheme == "grpc":
            raise ValueError("a CA is for grpcs://HOST:PORT")
        return cls(address=parts.netloc, secure=parts.scheme == "grpcs", ca=ca)


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[grpc.aio.Channel]:
    """Connect.

    Raises:
        ConfigError: If no gRPC server answers there within 5 s.
    """
    if target.secure:
        channel = grpc.aio.secure_channel(target.address, _credentials(target.ca), _OPTIONS)
    else:
        channel = grpc.aio.insecure_channel(target.address, _OPTIONS)
    async with channel:
        try:
            async with asyncio.timeout(_CONNECT_LIMIT_S):
                await channel.channel_ready()
        except TimeoutError:
            scheme = "grpcs" if target.secure else "grpc"
            raise ConfigError(
                "",
                f"no bridge answers at {scheme}://{target.address} within {_CONNECT_LIMIT_S:g} s",
            ) from None
        yield channel


def _credentials(ca: Path | None) -> grpc.ChannelCredentials:
    if ca is None:
        return grpc.ssl_channel_credentials()
    try:
        return grpc.ssl_channel_credentials(ca.read_bytes())
    except OSError as error:
        raise ConfigError("--ca", f"{ca}: {error.strerror}") from None
