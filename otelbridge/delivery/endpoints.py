"""Where a destination's requests go, and what they carry."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import grpc

from otelbridge.domain.ports import Signal
from otelbridge.errors import ConfigError, escaped

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.config.sections import DestinationConfig

_SECURE = "https"
#: Without a port: what gRPC takes for TLS, and OTLP's own.
_GRPC_PORTS = {_SECURE: 443, "http": 4317}
#: RFC 9110: a token; and what both gRPC and HTTP/1.1 take as a value.
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[ -~]*")


def signals_of(config: DestinationConfig) -> list[Signal]:
    """Return what the destination takes."""
    return [Signal(name) for name in dict.fromkeys(config.signals)]


def endpoint_of(config: DestinationConfig, signal: Signal) -> str:
    """Return the URL for a signal: its own as it is, or the base with OTLP/HTTP's path."""
    own: str | None = getattr(config, f"{signal}_endpoint")
    if own is not None:
        return own
    base = config.endpoint or ""
    return base if config.protocol == "grpc" else f"{base.rstrip('/')}/v1/{signal}"


class GrpcTarget(NamedTuple):
    """Where a gRPC channel leads, and whether it is secure."""

    address: str
    is_secure: bool


def grpc_target(endpoint: str) -> GrpcTarget:
    """Return where a gRPC endpoint's channel leads; its path means nothing."""
    url = urlsplit(endpoint)
    host = url.hostname or ""
    port = url.port or _GRPC_PORTS[url.scheme]
    name = f"[{host}]" if ":" in host else host
    return GrpcTarget(f"dns:///{name}:{port}", url.scheme == _SECURE)


def headers_of(config: DestinationConfig) -> dict[str, str]:
    """Return the headers of every request, their names in lower case.

    Raises:
        ConfigError: If a name or value cannot be sent. The value is a secret
            and is not repeated.
    """
    for name, value in config.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigError(_key(config, "headers"), f'"{escaped(name)}" is not a header name')
        if not _HEADER_VALUE.fullmatch(value):
            raise ConfigError(
                _key(config, "headers"), f"the value of {name} is not printable ASCII"
            )
    return {name.lower(): value for name, value in config.headers.items()}


def grpc_credentials(config: DestinationConfig) -> grpc.ChannelCredentials:
    """Return the certificates for gRPC.

    Raises:
        ConfigError: If a file cannot be read.
    """
    tls = config.tls
    return grpc.ssl_channel_credentials(
        root_certificates=_read(config, "ca", tls.ca),
        private_key=_read(config, "key", tls.key),
        certificate_chain=_read(config, "cert", tls.cert),
    )


def ssl_context(config: DestinationConfig) -> ssl.SSLContext:
    """Return the certificates for HTTP.

    With an own ``ca`` no environment variable can add to or replace it.

    Raises:
        ConfigError: If a file cannot be read or is no PEM file, or cert and
            key do not match.
    """
    tls = config.tls
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(_key(config, "tls"), f"{error.strerror or error}") from None
    return context


def _read(config: DestinationConfig, name: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(_key(config, f"tls.{name}"), f"{path}: {error.strerror}") from None


def _key(config: DestinationConfig, name: str) -> str:
    return f"destination {config.name}.{name}"
