"""Where a bridge is, as a person writes it, and the connection to it."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
import grpc.aio

from otelbridge.errors import ConfigError, escaped
from otelbridge.transports.gateway.client import dialled
from otelbridge.transports.grpc_caller import GrpcCaller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from otelbridge.transports.client import Caller

_CONNECT_LIMIT_S = 5.0
# By what is spoken, and whether TLS is used.
_SCHEMES = {
    (False, False): "grpc",
    (False, True): "grpcs",
    (True, False): "ws",
    (True, True): "wss",
}
_TRIED = (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE)
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
        is_gateway: Whether it is called as a stock gateway does, over a
            WebSocket, not over gRPC.
    """

    address: str
    secure: bool = False
    ca: Path | None = None
    is_gateway: bool = False

    @property
    def url(self) -> str:
        """Return it as a person writes it."""
        return f"{_SCHEMES[self.is_gateway, self.secure]}://{self.address}"

    @classmethod
    def parse(cls, url: str, *, ca: Path | None = None) -> Target:
        """Return the target that a URL names.

        Raises:
            ValueError: If it is not ``grpc://HOST:PORT``, ``ws://HOST:PORT``, or
                one of them with TLS: ``grpcs``, ``wss``.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        found = [kind for kind, scheme in _SCHEMES.items() if scheme == parts.scheme]
        is_whole = parts.hostname and port and parts.path in {"", "/"} and "@" not in parts.netloc
        if not found or not is_whole:
            raise ValueError(
                f'"{escaped(url)}" is not of the form grpc://HOST:PORT or ws://HOST:PORT'
            )
        is_gateway, secure = found[0]
        if ca is not None and not secure:
            raise ValueError(f"a CA is for {parts.scheme}s://HOST:PORT")
        return cls(address=parts.netloc, secure=secure, ca=ca, is_gateway=is_gateway)


@asynccontextmanager
async def connected(target: Target, *, key: str | None = None) -> AsyncIterator[Caller]:
    """Connect.

    Args:
        target: Where to.
        key: A gateway key; None for none.

    Raises:
        ConfigError: If no bridge answers there within 5 s (at once where the
            connection is refused), or it does not take the key.
    """
    if target.is_gateway:
        context = _ssl_context(target.ca) if target.secure else None
        async with dialled(target.url, key=key or "", context=context) as client:
            yield client
    else:
        async with _grpc_channel(target) as channel:
            yield GrpcCaller(channel, key=key)


@asynccontextmanager
async def _grpc_channel(target: Target) -> AsyncIterator[grpc.aio.Channel]:
    if target.secure:
        channel = grpc.aio.secure_channel(target.address, _credentials(target.ca), _OPTIONS)
    else:
        channel = grpc.aio.insecure_channel(target.address, _OPTIONS)
    async with channel:
        try:
            async with asyncio.timeout(_CONNECT_LIMIT_S):
                answers = await _answers(channel)
        except TimeoutError:
            raise ConfigError(
                "", f"no bridge answers at {target.url} within {_CONNECT_LIMIT_S:g} s"
            ) from None
        if not answers:
            raise ConfigError("", f"no bridge answers at {target.url}")
        yield channel


async def _answers(channel: grpc.aio.Channel) -> bool:
    """Connect; return False as soon as every address has failed once."""
    state = channel.get_state(try_to_connect=True)
    while state not in _TRIED:
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)
    return state is grpc.ChannelConnectivity.READY


def _ssl_context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise ConfigError("--ca", f"{ca} holds no certificate (PEM)") from None
    except OSError as error:
        raise ConfigError("--ca", f"{ca}: {error.strerror}") from None


def _credentials(ca: Path | None) -> grpc.ChannelCredentials:
    _ssl_context(ca)  # it says what is wrong with the file
    return grpc.ssl_channel_credentials(None if ca is None else ca.read_bytes())
