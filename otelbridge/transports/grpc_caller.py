"""Calls over gRPC."""

from __future__ import annotations

from typing import Any

import grpc.aio

_CALL_LIMIT_S = 30.0


class GrpcCaller:
    """Makes calls; implements `otelbridge.transports.client.Caller`.

    Args:
        channel: Where to.
        key: A gateway key; None for none.
    """

    def __init__(self, channel: grpc.aio.Channel, *, key: str | None = None) -> None:
        self._channel = channel
        self._metadata = () if key is None else (("authorization", f"Bearer {key}"),)
        self._methods: dict[str, Any] = {}

    async def call(self, rpc: str, raw: bytes, *, is_stream: bool = False) -> tuple[str, str]:
        """Make a call; see `Caller`."""
        method = self._method(rpc, is_stream=is_stream)
        calling = method(raw, metadata=self._metadata, timeout=_CALL_LIMIT_S)
        try:
            await (calling.read() if is_stream else calling)
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or ""
        calling.cancel()  # of no effect on a call that is over
        return "OK", ""

    def _method(self, rpc: str, *, is_stream: bool) -> Any:
        if rpc not in self._methods:
            kind = self._channel.unary_stream if is_stream else self._channel.unary_unary
            self._methods[rpc] = kind(f"/proto.{rpc}")
        return self._methods[rpc]
