"""Where a destination's requests go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from otelbridge.domain.ports import Signal

if TYPE_CHECKING:
    from otelbridge.config.sections import DestinationConfig

_SECURE = "https"
#: Without a port: what gRPC takes for TLS, and OTLP's own.
_GRPC_PORTS = {_SECURE: 443, "http": 4317}


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
