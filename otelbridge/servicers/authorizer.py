"""The Authorizer service: whose key this is, and whether its owner may still spend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.domain.access import RefusedCallError, authorise, authorise_id
from otelbridge.domain.budgets import budget_of, is_exceeded
from otelbridge.errors import (
    InvalidRequestError,
    PermissionDeniedError,
    UnauthenticatedError,
    escaped,
)
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.failures import FailureLimit, source_of
from otelbridge.servicers.messages import any_uuid
from otelbridge.telemetry.instruments import AUTHORIZATIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from otelbridge.domain.access import Key
    from otelbridge.domain.budgets import Spend
    from otelbridge.errors import CallError
    from otelbridge.servicers.methods import Call, Count
    from otelbridge.store import Store


class AuthorizerServicer:
    """Answers from the store's snapshot and from memory: no call waits for anything.

    Args:
        store: Who has which key and budget.
        spend: What users have spent.
        clock_ns: The bridge's clock.
        count: Counts the answers.
    """

    def __init__(
        self, store: Store, spend: Spend, *, clock_ns: Callable[[], int], count: Count
    ) -> None:
        self._store = store
        self._spend = spend
        self._clock_ns = clock_ns
        self._count = count
        self._wrong_keys = FailureLimit("wrong keys", clock_ns=clock_ns)

    async def IsAuthorized(
        self, request: pb.IsAuthorizedRequest, call: Call
    ) -> pb.IsAuthorizedResponse:
        """Tell whose key this is.

        Keys are judged first and failures are counted then: a source that
        guesses is limited, and never one that shows a right key. An owner who
        is not active is no guess.

        Raises:
            InvalidRequestError: If both a key and an id are given.
            UnauthenticatedError: If the key is not accepted, or the caller
                may not name it by its id.
            PermissionDeniedError: If its owner is not active.
            LimitExceededError: If the key is not accepted, and no more than
                this is told to a source of so many wrong keys.
        """
        if request.key and request.key_id:
            raise InvalidRequestError("both key and key_id set; exactly one required")
        try:
            key = self._key(request, is_trusted=call.trusted)
        except PermissionDeniedError:
            self._count(AUTHORIZATIONS, "permission_denied")
            raise
        except UnauthenticatedError as error:
            raise self._failure(error, call) from None
        self._count(AUTHORIZATIONS, "authorized")
        return pb.IsAuthorizedResponse(
            owner_id=str(key.user.id), api_key_id=key.id, username=key.user.name
        )

    async def IsBudgetExceeded(
        self,
        request: pb.IsBudgetExceededRequest,
        call: Call,  # noqa: ARG002  # every servicer's method has it
    ) -> pb.IsBudgetExceededResponse:
        """Tell whether the user has spent what the budget allows; nobody has without one.

        Raises:
            InvalidRequestError: If the user's id is not a UUID.
        """
        user_id = _user_id(request.user_id)
        budget = budget_of(self._store.snapshot, user_id)
        if budget is None:
            return pb.IsBudgetExceededResponse(exceeded=False)
        return pb.IsBudgetExceededResponse(
            exceeded=is_exceeded(budget, self._spend, user_id, now_ns=self._clock_ns()),
            spend_limit_micros=budget.limit_micros,
        )

    def _key(self, request: pb.IsAuthorizedRequest, *, is_trusted: bool) -> Key:
        snapshot, now_ns = self._store.snapshot, self._clock_ns()
        if not request.key_id:
            return authorise(snapshot, request.key, now_ns=now_ns)
        return authorise_id(snapshot, request.key_id, now_ns=now_ns, is_trusted=is_trusted)

    def _failure(self, error: UnauthenticatedError, call: Call) -> CallError:
        """Count a key that is not accepted; return what is answered."""
        limited = None
        if not isinstance(error, RefusedCallError):  # the transport counts and limits those
            limited = self._wrong_keys.exceeded_by(source_of(call.gateway, call.peer()))
        self._count(AUTHORIZATIONS, "unauthenticated" if limited is None else "rate_limited")
        return limited or error


def _user_id(text: str) -> UUID:
    # The nil UUID is nobody's: an error here would block the gateway's request.
    try:
        return any_uuid(text)
    except ValueError as error:
        raise InvalidRequestError(f'invalid user_id "{escaped(text)}": {error}') from None
