"""Canaries: interceptions that nobody made, to see whether the way to every destination is open.

A canary goes the way of every record, through the journal and the outbox. It
is known by a metadata key of its start, which is refused from gateways: what
is in the journal with that key is a canary, also after a restart. It is told
with ``otelbridge.canary = true`` and is counted nowhere but among the records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from otelbridge.domain.records import RecordKind
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.recording import Submission
from otelbridge.telemetry.semconv import CANARY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from google.protobuf.message import Message

    from otelbridge.delivery.health import DestinationStatus
    from otelbridge.server.committed import Committed
    from otelbridge.transports.control import Answer

#: Who makes canaries: nobody's id, a fixed one (the nil UUID is not allowed).
CANARY_USER = UUID("00000000-0000-4000-8000-000000000001")
_CLIENT = "otelbridge doctor"
_API_KEY_ID = "otelbridge-doctor"
# The prompt has no text; logs tell from it that nobody said nothing.
_IS_CANARY_PROMPT = "canary"


def canary_answers(
    core: Committed,
    *,
    statuses: Callable[[], Iterable[DestinationStatus]],
    addresses: Callable[[], Mapping[str, str]],
    clock_ns: Callable[[], int],
) -> dict[str, Answer]:
    """Return what is answered, by name; `otelbridge.commands.doctoring` asks.

    Args:
        core: Records canaries, and knows how far they have come.
        statuses: Returns how every destination does.
        addresses: Returns where the bridge listens, by name.
        clock_ns: The bridge's clock.
    """

    def about(_query: Mapping[str, str]) -> dict[str, Any]:
        return {
            "addresses": dict(addresses()),
            "now_ns": clock_ns(),
            "destinations": {each.name: each.last_error for each in statuses()},
        }

    async def record(_query: Mapping[str, str]) -> dict[str, str]:
        canary = uuid4()
        await record_canary(core, canary, now_ns=clock_ns())
        return {"id": str(canary)}

    async def progress(query: Mapping[str, str]) -> dict[str, Any]:
        through = query.get("through")
        found = await core.canary_progress(
            UUID(query["id"]), None if through is None else int(through)
        )
        errors = {each.name: each.last_error for each in statuses()}
        return {**found._asdict(), "errors": {k: v for k, v in errors.items() if v is not None}}

    return {"about": about, "canary": record, "canary-progress": progress}


async def record_canary(core: Committed, canary: UUID, *, now_ns: int) -> None:
    """Record a canary; return when it is durable.

    All its records are handed in at once, so that they are in one transaction:
    it is never seen as active.

    Raises:
        UnavailableError: If it could not be committed.
    """
    handed_in: list[Awaitable[None]] = [
        core.commits.record(Submission(kind, request.SerializeToString(), now_ns, is_canary=True))
        for kind, request in _requests(str(canary), now_ns)
    ]
    for each in handed_in:
        await each


def _requests(canary: str, now_ns: int) -> list[tuple[RecordKind, Message]]:
    now = Timestamp()
    now.FromNanoseconds(now_ns)
    start = pb.RecordInterceptionRequest(
        id=canary,
        initiator_id=str(CANARY_USER),
        api_key_id=_API_KEY_ID,
        provider="otelbridge",
        model="canary",
        client=_CLIENT,
        started_at=now,
        metadata={CANARY: _true()},
    )
    prompt = pb.RecordPromptUsageRequest(
        interception_id=canary, created_at=now, metadata={_IS_CANARY_PROMPT: _true()}
    )
    end = pb.RecordInterceptionEndedRequest(id=canary, ended_at=now)
    return [(RecordKind.START, start), (RecordKind.PROMPT, prompt), (RecordKind.END, end)]


def _true() -> Packed:
    packed = Packed()
    packed.Pack(Value(bool_value=True))
    return packed
