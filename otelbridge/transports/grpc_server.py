"""The gRPC server: a method table, health and reflection on one port."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from otelbridge.config import split_address
from otelbridge.errors import ConfigError, UnavailableError
from otelbridge.transports.handlers import MethodHandlers
from otelbridge.transports.sockets import check_free
from otelbridge.transports.status import status_of
from otelbridge.transports.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.servicers.methods import Method
    from otelbridge.transports.access import Door
    from otelbridge.transports.certificates import CertificateFiles
    from otelbridge.transports.meter import Meter

logger = logging.getLogger(__name__)

#: Largest request. A prompt may have 16 MiB; the rest is for its envelope.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024 + 64 * 1024
#: Largest metadata of a call.
MAX_METADATA_BYTES = 16 * 1024
# A gateway has hundreds of calls open under load.
_MAX_STREAMS = 4096

_OPTIONS = (
    # Else a second server binds the same port, and nobody notices.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Equal: between a soft and a hard limit the library refuses at random.
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", _MAX_STREAMS),
    # Ask a silent peer once a minute whether it is there, for as long as it is silent.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A client may ask us six times as often (the library's default is every five minutes).
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class GrpcServer:
    """Serves a method table over gRPC.

    It starts as NOT_SERVING: health is the caller's to say.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        address: str,
        door: Door,
        meter: Meter,
        certificates: CertificateFiles | None = None,
    ) -> None:
        """Create a server that does not listen yet.

        Args:
            methods: What it serves, by path.
            address: ``HOST:PORT``; port 0 draws a free one.
            door: Says who may call.
            meter: Books the calls.
            certificates: What TLS uses; None for plain text.
        """
        self._address = address
        self._certificates = certificates
        self._streams = Streams()
        self._health = _Health(self._streams)
        self._services = sorted({path.split("/")[1] for path in methods})
        self._handlers = MethodHandlers(methods, door=door, meter=meter, streams=self._streams)
        self._server: Any = None

    @property
    def address(self) -> str:
        """Return ``HOST:PORT``; after `start`, with the true port."""
        return self._address

    async def start(self) -> None:
        """Listen and serve.

        Raises:
            ConfigError: If the port is in use or the certificates are wrong.
        """
        await self.set_serving(serving=False)
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((self._handlers,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        own = (health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection((*self._services, *own), self._server)
        self._address = self._listen()
        await self._server.start()

    async def set_serving(self, *, serving: bool) -> None:
        """Say what health checks are answered, for the server and each service."""
        for service in ("", *self._services):
            await self._health.set(service, _SERVING if serving else _NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Take no new call, answer those that were received, then close.

        Args:
            grace_s: How long to wait for calls in flight, in seconds. Those
                left are cut off. Streams end at once, as UNAVAILABLE.
        """
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        self._streams.end()
        await self._server.stop(grace_s)

    def _listen(self) -> str:
        # The library tells on standard error why it cannot bind; an error says it better.
        check_free(self._address, key="listen.grpc")
        host, _ = split_address(self._address)
        try:
            if self._certificates is None:
                port = self._server.add_insecure_port(self._address)
            else:
                credentials = self._certificates.credentials()
                port = self._server.add_secure_port(self._address, credentials)
        except RuntimeError:
            raise ConfigError("listen.grpc", f"cannot listen on {self._address}") from None
        return f"{host}:{port}"


class _Health(health.aio.HealthServicer):  # type: ignore[misc]  # grpc has no types
    """Health whose watchers do not hold up a stop."""

    def __init__(self, streams: Streams) -> None:
        super().__init__()
        self._streams = streams

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802  # the RPC's name
        """Stream a service's status."""
        try:
            await self._streams.run(super().Watch(request, context))
        except UnavailableError as error:
            await context.abort(*status_of(error))
