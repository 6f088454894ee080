"""OTLP/gRPC: export requests that are encoded already.

Source: OTLP specification 1.x, "OTLP/gRPC"; google/rpc/error_details.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otelbridge.delivery.credentials import read_credentials
from otelbridge.delivery.endpoints import endpoint_of, grpc_target, signals_of
from otelbridge.delivery.outcomes import Refused, Retry, TooLarge, parse_response, safe_text
from otelbridge.domain.ports import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelbridge.config.sections import DestinationConfig
    from otelbridge.delivery.credentials import Credentials
    from otelbridge.delivery.endpoints import GrpcTarget
    from otelbridge.delivery.outcomes import Outcome

_METHOD = "/opentelemetry.proto.collector.{0}.v1.{1}Service/Export"
_METHODS = {
    Signal.TRACES: _METHOD.format("trace", "Trace"),
    Signal.METRICS: _METHOD.format("metrics", "Metrics"),
    Signal.LOGS: _METHOD.format("logs", "Logs"),
}

_Code = grpc.StatusCode
#: "The client SHOULD retry" by the specification.
_RETRYABLE = {
    _Code.CANCELLED,
    _Code.DEADLINE_EXCEEDED,
    _Code.ABORTED,
    _Code.OUT_OF_RANGE,
    _Code.UNAVAILABLE,
    _Code.DATA_LOSS,
}
#: Nothing is wrong with the data: someone has to correct a setting, on either
#: side, and everything is still there when they have.
_MISCONFIGURED = {
    _Code.UNAUTHENTICATED,
    _Code.PERMISSION_DENIED,
    _Code.UNIMPLEMENTED,
    _Code.NOT_FOUND,
}

_OPTIONS = (
    # The worker waits between tries; left alone, gRPC would fail at once for up to
    # two minutes after the server is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A new channel is a new connection: the old one's may be dead without a word.
    ("grpc.use_local_subchannel_pool", 1),
    # No setting comes from the environment, here and in OTLP/HTTP alike.
    ("grpc.enable_http_proxy", 0),
)
_DETAILS = "grpc-status-details-bin"
#: What gRPC's own limit says, in all its languages.
_TOO_LARGE = "larger than max"
#: gRPC's own words where a connection or a proxy, not the server, ended the call.
_CUT = ("Received RST_STREAM", "Stream removed")


class GrpcExporter:
    """One destination by OTLP/gRPC. Must be made inside the event loop.

    Args:
        config: The destination.
        user_agent: Put before gRPC's own.
        credentials: Headers and certificates; read from their files if not given.

    Raises:
        ConfigError: If a certificate or a header is wrong.
    """

    def __init__(
        self,
        config: DestinationConfig,
        *,
        user_agent: str,
        credentials: Credentials | None = None,
    ) -> None:
        shown = credentials or read_credentials(config)
        self._timeout_s = config.timeout_s
        self._metadata = tuple(shown.headers.items())
        endpoints = {signal: endpoint_of(config, signal) for signal in signals_of(config)}
        targets = {signal: grpc_target(endpoint) for signal, endpoint in endpoints.items()}
        self._channels = {
            target: _channel(config, target, shown, user_agent=user_agent)
            for target in set(targets.values())
        }
        self._calls = {
            signal: self._channels[target].unary_unary(_METHODS[signal])
            for signal, target in targets.items()
        }

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Send one request; see `otelbridge.delivery.outcomes.Exporter`."""
        call = self._calls[signal]
        try:
            answer = await call(body, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            after_s = retry_after_s(error.trailing_metadata() or ())
            return outcome_of(error.code(), error.details(), after_s=after_s)
        return parse_response(signal, answer)

    async def close(self) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            await channel.close()


def _channel(
    config: DestinationConfig, target: GrpcTarget, shown: Credentials, *, user_agent: str
) -> grpc.aio.Channel:
    options = (*_OPTIONS, ("grpc.primary_user_agent", user_agent))
    compression = grpc.Compression.Gzip if config.compression == "gzip" else None
    if not target.is_secure:
        return grpc.aio.insecure_channel(target.address, options=options, compression=compression)
    secure = grpc.ssl_channel_credentials(shown.ca, shown.key, shown.cert)
    return grpc.aio.secure_channel(target.address, secure, options=options, compression=compression)


def outcome_of(code: grpc.StatusCode, details: str | None, *, after_s: float | None) -> Outcome:
    """Return what a status other than OK means.

    Args:
        code: The status.
        details: The server's text.
        after_s: What its RetryInfo says; None without one.
    """
    reason = f"grpc_{code.name.lower()}"
    message = safe_text(details)
    if code is _Code.RESOURCE_EXHAUSTED and after_s is None:
        return TooLarge(reason=reason, message=message, is_certain=_TOO_LARGE in message)
    if code in _RETRYABLE or code is _Code.RESOURCE_EXHAUSTED:
        is_silence = code is _Code.DEADLINE_EXCEEDED
        return Retry(reason=reason, message=message, after_s=after_s, is_silence=is_silence)
    if code in _MISCONFIGURED or message.startswith(_CUT):
        return Retry(reason=reason, message=message)
    return Refused(reason=reason, message=message)


def retry_after_s(trailers: Iterable[tuple[str, str | bytes]]) -> float | None:
    """Return the RetryInfo among the trailers' status details, in seconds."""
    for key, value in trailers:
        if key == _DETAILS and isinstance(value, bytes):
            return _retry_delay_s(value)
    return None


def _retry_delay_s(status: bytes) -> float | None:
    info = RetryInfo()
    try:
        for detail in Status.FromString(status).details:
            if detail.Unpack(info):
                delay_s: float = info.retry_delay.ToNanoseconds() / 1e9
                return max(delay_s, 0.0)
    except DecodeError:
        return None
    return None
