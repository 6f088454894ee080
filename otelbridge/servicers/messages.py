"""Requests of the Recorder service become domain records: pure functions.

The same functions read what a gateway sends and what the journal kept, so a
replay rebuilds exactly the records that were acknowledged.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from google.protobuf.message import DecodeError

from otelbridge.domain.records import (
    NO_PRINTS,
    Identity,
    InterceptionEnded,
    InterceptionStarted,
    ModelThought,
    Prints,
    PromptUsed,
    Record,
    RecordKind,
    TokensUsed,
    ToolUsed,
)
from otelbridge.errors import InvalidRequestError, escaped
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.metadata import canonicalise, plain_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

_IDENTITY_BYTES = 16
_NS = 1_000_000_000
# Absurd timestamps: before 2020-01-01, or more than an hour ahead of the receipt.
_EARLIEST_S = 1_577_836_800
_AHEAD_NS = 3600 * _NS
_HEX = "[0-9a-fA-F]"
# The forms that a Go peer's uuid.Parse accepts.
_UUID = re.compile(
    rf"(?:urn:uuid:)?{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}|{_HEX}{{32}}"
    rf"|\{{{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}\}}"
)
# A member that is looked up in its class takes four times as long.
_WITHOUT_METADATA = RecordKind.END
_PREFIXES = {kind: bytes((kind,)) for kind in RecordKind}
_REQUESTS: Mapping[RecordKind, type[Message]] = {
    RecordKind.START: pb.RecordInterceptionRequest,
    RecordKind.PROMPT: pb.RecordPromptUsageRequest,
    RecordKind.TOKENS: pb.RecordTokenUsageRequest,
    RecordKind.THOUGHT: pb.RecordModelThoughtRequest,
    RecordKind.TOOL: pb.RecordToolUsageRequest,
    RecordKind.END: pb.RecordInterceptionEndedRequest,
}
_PARSERS = {kind: request.FromString for kind, request in _REQUESTS.items()}


class Receipt(NamedTuple):
    """What the bridge knows of a request besides its fields.

    Attributes:
        received_at_ns: When it arrived, by the bridge's clock.
        identity: See `identity_of`.
        length: Length of its content in Unicode code points; None if it has
            none or all of the content is still in the request.
        prints: What else is known of its content.
    """

    received_at_ns: int
    identity: Identity
    length: int | None = None
    prints: Prints = NO_PRINTS


# An interception's id comes with each of its records, a user's with each interception.
@lru_cache(maxsize=16_384)
def parse_uuid(text: str) -> UUID:
    """Return the UUID.

    Raises:
        ValueError: If the text has none of the forms that gateways accept, or
            is the nil UUID.
    """
    uuid = any_uuid(text)
    if not uuid.int:
        raise ValueError("the nil UUID is not allowed")
    return uuid


def any_uuid(text: str) -> UUID:
    """Return the UUID, which may be nil.

    Raises:
        ValueError: If the text has none of the forms that gateways accept.
    """
    if _UUID.fullmatch(text) is None:
        raise ValueError("not a UUID")
    return UUID(text)


def identity_of(kind: RecordKind, request: Any) -> Identity:
    """Return what tells the request from every other one.

    SHA-256 over the kind and the deterministic serialisation, unknown fields
    included. Metadata values are first brought to one form, so that the order
    of a map's keys makes no difference; this changes ``request``.
    """
    if kind is not _WITHOUT_METADATA:
        canonicalise(request.metadata)
    canonical = request.SerializeToString(deterministic=True)
    return Identity(hashlib.sha256(_PREFIXES[kind] + canonical).digest()[:_IDENTITY_BYTES])


def record_of(kind: RecordKind, request: Any, receipt: Receipt) -> Record:
    """Return the record that a request tells.

    Raises:
        InvalidRequestError: If an id is not a UUID, or a start has no API key id.
    """
    return _READERS[kind](request, receipt)


def parse_request(kind: RecordKind, raw: bytes) -> Message:
    """Parse a request.

    Raises:
        InvalidRequestError: If the bytes are not a message of the kind's
            request type, or a string in it is not UTF-8.
    """
    try:
        return _PARSERS[kind](raw)
    except DecodeError:
        name = _REQUESTS[kind].DESCRIPTOR.name
        raise not_a_message(f"Recorder/{name.removesuffix('Request')}", name, raw) from None


def not_a_message(method: str, name: str, raw: bytes) -> InvalidRequestError:
    """Return what answers bytes that are not a request of the RPC."""
    return InvalidRequestError(f"{method}: {len(raw)} bytes are not a {name}")


def parse_record(kind: RecordKind, payload: bytes, receipt: Receipt) -> Record:
    """Return the record that the journal kept as ``payload``.

    Raises:
        DecodeError: If the bytes are not a request of that kind.
        InvalidRequestError: See `record_of`.
    """
    return record_of(kind, _REQUESTS[kind].FromString(payload), receipt)


def _id(what: str, text: str) -> UUID:
    try:
        return parse_uuid(text)
    except ValueError as error:
        raise InvalidRequestError(f'invalid {what} ID "{escaped(text)}": {error}') from None


def _time(stamp: Timestamp, received_at_ns: int) -> tuple[int, bool]:
    """Return the time, and whether it is the receipt's because the gateway's was unusable."""
    nanos = stamp.nanos
    at_ns = stamp.seconds * _NS + nanos
    valid = 0 <= nanos < _NS and stamp.seconds >= _EARLIEST_S
    if valid and at_ns <= received_at_ns + _AHEAD_NS:
        return at_ns, False
    return received_at_ns, True


# What all records share is written out in each of these: a dictionary of it, spread
# into the call, took as long again as making the record.
def _start(request: pb.RecordInterceptionRequest, receipt: Receipt) -> InterceptionStarted:
    interception_id = _id("interception", request.id)
    initiator_id = _id("initiator", request.initiator_id)
    if not request.api_key_id:
        raise InvalidRequestError("empty API key ID")
    at_ns, synthetic_time = _time(request.started_at, receipt.received_at_ns)
    return InterceptionStarted(
        interception_id=interception_id,
        identity=receipt.identity,
        received_at_ns=receipt.received_at_ns,
        at_ns=at_ns,
        synthetic_time=synthetic_time,
        metadata=plain_metadata(request.metadata),
        initiator_id=initiator_id,
        provider=request.provider,
        model=request.model,
        api_key_id=request.api_key_id,
        provider_name=request.provider_name,
        client=request.client,
        user_agent=request.user_agent,
        correlating_tool_call_id=_optional(request, "correlating_tool_call_id"),
        client_session_id=_optional(request, "client_session_id"),
        credential_kind=request.credential_kind,
        credential_hint=request.credential_hint,
        agent_firewall_session_id=_optional(request, "agent_firewall_session_id"),
        agent_firewall_sequence_number=_optional(request, "agent_firewall_sequence_number"),
        workspace_id=request.workspace_id,
    )


def _end(request: pb.RecordInterceptionEndedRequest, receipt: Receipt) -> InterceptionEnded:
    interception_id = _id("interception", request.id)
    at_ns, synthetic_time = _time(request.ended_at, receipt.received_at_ns)
    return InterceptionEnded(
        interception_id=interception_id,
        identity=receipt.identity,
        received_at_ns=receipt.received_at_ns,
        at_ns=at_ns,
        synthetic_time=synthetic_time,
        error_type=_optional(request, "error_type"),
        error_message=_optional(request, "error_message"),
        credential_hint=request.credential_hint,
    )


def _tokens(request: pb.RecordTokenUsageRequest, receipt: Receipt) -> TokensUsed:
    interception_id = _id("interception", request.interception_id)
    at_ns, synthetic_time = _time(request.created_at, receipt.received_at_ns)
    return TokensUsed(
        interception_id=interception_id,
        identity=receipt.identity,
        received_at_ns=receipt.received_at_ns,
        at_ns=at_ns,
        synthetic_time=synthetic_time,
        metadata=plain_metadata(request.metadata),
        msg_id=request.msg_id,
        input_tokens=request.input_tokens,
        output_tokens=request.output_tokens,
        cache_read_input_tokens=request.cache_read_input_tokens,
        cache_write_input_tokens=request.cache_write_input_tokens,
    )


def _prompt(request: pb.RecordPromptUsageRequest, receipt: Receipt) -> PromptUsed:
    interception_id = _id("interception", request.interception_id)
    at_ns, synthetic_time = _time(request.created_at, receipt.received_at_ns)
    text, length = _content(request.prompt, receipt)
    return PromptUsed(
        interception_id=interception_id,
        identity=receipt.identity,
        received_at_ns=receipt.received_at_ns,
        at_ns=at_ns,
        synthetic_time=synthetic_time,
        metadata=plain_metadata(request.metadata),
        msg_id=request.msg_id,
        prompt=text,
        length=length,
        prints=receipt.prints,
    )


def _tool(request: pb.RecordToolUsageRequest, receipt: Receipt) -> ToolUsed:
    interception_id = _id("interception", request.interception_id)
    at_ns, synthetic_time = _time(request.created_at, receipt.received_at_ns)
    text, length = _content(request.input, receipt)
    return ToolUsed(
        interception_id=interception_id,
        identity=receipt.identity,
        received_at_ns=receipt.received_at_ns,
        at_ns=at_ns,
        synthetic_time=synthetic_time,
        metadata=plain_metadata(request.metadata),
        msg_id=request.msg_id,
        tool=request.tool,
        input=text,
        length=length,
        prints=receipt.prints,
        injected=request.injected,
        server_url=_optional(request, "server_url"),
        invocation_error=_optional(request, "invocation_error"),
        tool_call_id=request.tool_call_id,
        item_id=request.item_id,
    )


def _thought(request: pb.RecordModelThoughtRequest, receipt: Receipt) -> ModelThought:
    interception_id = _id("interception", request.interception_id)
    at_ns, synthetic_time = _time(request.created_at, receipt.received_at_ns)
    text, length = _content(request.content, receipt)
    return ModelThought(
        interception_id=interception_id,
        identity=receipt.identity,
        received_at_ns=receipt.received_at_ns,
        at_ns=at_ns,
        synthetic_time=synthetic_time,
        metadata=plain_metadata(request.metadata),
        content=text,
        length=length,
        prints=receipt.prints,
    )


def _content(text: str, receipt: Receipt) -> tuple[str | None, int]:
    return (text, len(text)) if receipt.length is None else (text or None, receipt.length)


def _optional(request: Any, name: str) -> Any:
    return getattr(request, name) if request.HasField(name) else None


_READERS: Mapping[RecordKind, Callable[[Any, Receipt], Record]] = {
    RecordKind.START: _start,
    RecordKind.PROMPT: _prompt,
    RecordKind.TOKENS: _tokens,
    RecordKind.THOUGHT: _thought,
    RecordKind.TOOL: _tool,
    RecordKind.END: _end,
}
