"""The yardstick: a bare grpc.aio server on uvloop that answers every unary call at once.

It parses each request and serialises each answer with the contract's generated
messages, as a generated servicer does, and does nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import grpc.aio
import uvloop
from google.protobuf.message_factory import GetMessageClass

from benchmarks.helper import answer_until_eof
from otelbridge.proto import aibridged_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message


def _handler(method: MethodDescriptor) -> grpc.RpcMethodHandler:
    response_class = GetMessageClass(method.output_type)

    async def handle(_request: Message, _context: grpc.aio.ServicerContext) -> Message:
        return response_class()

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=response_class.SerializeToString,
    )


async def _serve() -> None:
    server = grpc.aio.server()
    for service in aibridged_pb2.DESCRIPTOR.services_by_name.values():
        unary = (method for method in service.methods if not method.server_streaming)
        handlers = {method.name: _handler(method) for method in unary}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service.full_name, handlers),)
        )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await answer_until_eof(port, str)
    await server.stop(grace=None)


if __name__ == "__main__":
    uvloop.run(_serve())
