"""Errors as gRPC statuses: the one map from our exceptions to what a client sees.

Source: google/rpc/status.proto, google/rpc/error_details.proto, and gRPC's
"Richer error model": details travel as ``grpc-status-details-bin``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status as RpcStatus

from otelbridge.errors import (
    AlreadyExistsError,
    CallError,
    InvalidRequestError,
    LimitExceededError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_DETAILS_KEY = "grpc-status-details-bin"
_NANOS = 1_000_000_000

_CODES: Mapping[type[CallError], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    LimitExceededError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
}


class Status(NamedTuple):
    """How a call ends.

    Attributes:
        code: The gRPC status code.
        text: What the client reads.
        trailers: Trailing metadata.
    """

    code: grpc.StatusCode
    text: str
    trailers: tuple[tuple[str, bytes], ...] = ()


#: An unexpected exception: its text may hold anything, so the client reads none of it.
INTERNAL = Status(grpc.StatusCode.INTERNAL, "internal error")


def status_of(error: CallError) -> Status:
    """Return the status that tells a client of the error."""
    code = next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), None)
    if code is None:
        return INTERNAL
    if isinstance(error, UnavailableError):
        return Status(code, str(error), _retry_trailers(code, error))
    return Status(code, str(error))


def _retry_trailers(
    code: grpc.StatusCode, error: UnavailableError
) -> tuple[tuple[str, bytes], ...]:
    delay = Duration()
    delay.FromNanoseconds(round(error.retry_after_s * _NANOS))
    info = Any()
    info.Pack(RetryInfo(retry_delay=delay))
    details = RpcStatus(code=code.value[0], message=str(error), details=[info])
    return ((_DETAILS_KEY, details.SerializeToString()),)
