"""The Authorizer service: whose key this is, and whether its owner may still spend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.domain.access import REFUSED, authorise, authorise_id, budget_of, is_exceeded
from otelbridge.errors import (
    CallError,
    InvalidRequestError,
    PermissionDeniedError,
    UnauthenticatedError,
    escaped,
)
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.messages import any_uuid

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from otelbridge.domain.access import Key, Spend
    from otelbridge.servicers.methods import Call, Count
    from otelbridge.store import Store

_OUTCOMES = {UnauthenticatedError: "unauthenticated", PermissionDeniedError: "permission_denied"}


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

    async def IsAuthorized(
        self, request: pb.IsAuthorizedRequest, call: Call
    ) -> pb.IsAuthorizedResponse:
        """Tell whose key this is.

        A caller that names a key by its id alone asks to be believed: it must
        itself have shown a gateway key or a certificate.

        Raises:
            InvalidRequestError: If both a key and an id are given.
            UnauthenticatedError: If the key is not accepted, or the caller
                may not name it by its id.
            PermissionDeniedError: If its owner is not active.
        """
        if request.key and request.key_id:
            raise InvalidRequestError("both key and key_id set; exactly one required")
        try:
            key = self._key(request, is_trusted=call.trusted)
        except CallError as error:
            self._count("aibridge.authorizations", _OUTCOMES[type(error)])
            raise
        self._count("aibridge.authorizations", "authorized")
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
        if not is_trusted:
            raise UnauthenticatedError(REFUSED)
        return authorise_id(snapshot, request.key_id, now_ns=now_ns)


def _user_id(text: str) -> UUID:
    # The nil UUID is nobody's: an error here would block the gateway's request.
    try:
        return any_uuid(text)
    except ValueError as error:
        raise InvalidRequestError(f'invalid user_id "{escaped(text)}": {error}') from None
