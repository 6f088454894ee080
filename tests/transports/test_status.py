"""Errors as gRPC statuses."""

from __future__ import annotations

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status as RpcStatus

from otelbridge import errors
from otelbridge.transports.status import INTERNAL, status_of

_CALL_ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, errors.CallError)
    and kind is not errors.CallError
]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidRequestError("id: x"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.AlreadyExistsError("id: x"), grpc.StatusCode.ALREADY_EXISTS),
        (errors.UnauthenticatedError("invalid key"), grpc.StatusCode.UNAUTHENTICATED),
        (errors.PermissionDeniedError("inactive user"), grpc.StatusCode.PERMISSION_DENIED),
        (errors.LimitExceededError("limit: 3"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.UnavailableError("full"), grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_each_error_has_its_status_and_keeps_its_text(
    error: errors.CallError, code: grpc.StatusCode
) -> None:
    status = status_of(error)

    assert (status.code, status.text) == (code, str(error))


@pytest.mark.parametrize("kind", _CALL_ERRORS)
def test_no_error_of_a_call_is_left_without_a_status(kind: type[errors.CallError]) -> None:
    assert status_of(kind("x")) is not INTERNAL


def test_an_error_of_no_known_reaction_is_internal_and_keeps_its_text_to_itself() -> None:
    assert status_of(errors.CallError("secret")) == INTERNAL


def test_unavailable_carries_the_time_to_wait_in_the_status_details() -> None:
    status = status_of(errors.UnavailableError("journal full", retry_after_s=2.5))

    [(key, value)] = status.trailers
    details = RpcStatus.FromString(value)
    info = RetryInfo()
    assert key == "grpc-status-details-bin"
    assert (details.code, details.message) == (14, "journal full")
    assert details.details[0].Unpack(info)
    assert info.retry_delay.ToMilliseconds() == 2500
