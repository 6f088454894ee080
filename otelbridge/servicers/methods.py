"""The method table: every RPC of the contract, built from its descriptor.

Both transports serve this table, so that a method added to the proto and to
its servicer is served by both with no further line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from otelbridge.proto import aibridged_pb2
from otelbridge.servicers.messages import not_a_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from google.protobuf.descriptor import MethodDescriptor

    Handler: TypeAlias = Callable[["Call"], Awaitable[Message | None] | AsyncIterator[Message]]


class Call(NamedTuple):
    """What a servicer knows of a call besides its request.

    Attributes:
        raw: The request as it was received.
        gateway: Name of the gateway whose key was shown; empty without one.
        trusted: Whether a gateway key or a verified certificate was shown.
        peer: Returns the caller's address as gRPC writes it, ``ipv4:10.0.0.1:4711``;
            asked for only where it matters, it costs more than the rest.
    """

    raw: bytes
    gateway: str = ""
    trusted: bool = False
    peer: Callable[[], str] = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC.

    Attributes:
        path: Its path on the wire, ``/proto.Service/Method``.
        request_class: Class of its requests.
        server_streaming: Whether it answers with a stream.
        answer: Answers a call; None is an answer that holds nothing. It raises
            an InvalidRequestError if the call's bytes are not a message of the
            request type, or a string in it is not UTF-8.
    """

    path: str
    request_class: type[Message]
    server_streaming: bool
    answer: Handler

    @property
    def name(self) -> str:
        """Return ``Service/Method``, as captures and metrics name it."""
        return self.path.removeprefix("/proto.")


class Count(Protocol):
    """Adds to a counter of the ledger."""

    def __call__(self, instrument: str, *values: str, amount: int = 1) -> None:
        """Add ``amount`` to the series with these attribute values."""


def descriptors() -> list[MethodDescriptor]:
    """Return the descriptors of all RPCs of the contract."""
    services = aibridged_pb2.DESCRIPTOR.services_by_name.values()
    return [method for service in services for method in service.methods]


def path_of(method: MethodDescriptor) -> str:
    """Return a method's path on the wire."""
    return f"/{method.containing_service.full_name}/{method.name}"


def request_classes() -> dict[str, type[Message]]:
    """Return the class of every RPC's requests, by ``Service/Method``."""
    return {
        path_of(method).removeprefix("/proto."): GetMessageClass(method.input_type)
        for method in descriptors()
    }


def method_table(servicers: Mapping[str, object]) -> dict[str, Method]:
    """Return all RPCs by path.

    Args:
        servicers: A servicer for each service, by the service's name; its
            methods are named as the RPCs, and take a request and its call;
            the call alone if the servicer's ``PARSES`` is false.

    Raises:
        AttributeError: If a servicer lacks a method.
        KeyError: If a service has no servicer.
    """
    return {
        path_of(method): Method(
            path=path_of(method),
            request_class=GetMessageClass(method.input_type),
            server_streaming=bool(method.server_streaming),
            answer=_answering(servicers[method.containing_service.name], method),
        )
        for method in descriptors()
    }


def parsing(handle: Callable[[Any, Call], Any], method: MethodDescriptor) -> Handler:
    """Return what parses a call's bytes and hands the request on with its call."""
    request_class = GetMessageClass(method.input_type)
    name = path_of(method).removeprefix("/proto.")

    def answer(call: Call) -> Any:
        try:
            request = request_class.FromString(call.raw)
        except DecodeError:
            raise not_a_message(name, method.input_type.name, call.raw) from None
        return handle(request, call)

    return answer


def _answering(servicer: object, method: MethodDescriptor) -> Handler:
    handle: Any = getattr(servicer, method.name)
    return parsing(handle, method) if getattr(servicer, "PARSES", True) else handle
