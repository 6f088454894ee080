"""Fixtures: a scripted collector, exporters to it, and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trustme

from otelbridge.delivery.otlp_grpc import GrpcExporter
from otelbridge.delivery.otlp_http import HttpExporter
from tests.collector import Collector, ServerTls
from tests.delivery.bench import Bench
from tests.delivery.fakes import FakeTime, MemoryOutbox, destination

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from otelbridge.delivery.outcomes import Exporter


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as collector:
        yield collector


@pytest.fixture
async def grpc_exporter(collector: Collector) -> AsyncIterator[Exporter]:
    exporter = GrpcExporter(destination(collector.grpc_endpoint), user_agent="test")
    yield exporter
    await exporter.close()


@pytest.fixture
async def http_exporter(collector: Collector, time: FakeTime) -> AsyncIterator[Exporter]:
    config = destination(collector.http_endpoint, protocol="http/protobuf")
    exporter = HttpExporter(config, user_agent="test", now_ns=time.now_ns)
    yield exporter
    await exporter.close()


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
async def bench(outbox: MemoryOutbox, time: FakeTime) -> AsyncIterator[Bench]:
    bench = Bench(outbox, time)
    yield bench
    for exporter in bench.exporters:
        await exporter.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM files of one authority: the collector's, a client's, and its own."""

    server: ServerTls
    mutual: ServerTls
    ca: str
    cert: str
    key: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    ca = str(folder / "ca.pem")
    authority.cert_pem.write_to_path(ca)
    server_cert, server_key = _issue(authority, folder, "server", "127.0.0.1")
    cert, key = _issue(authority, folder, "client", "client.example")
    return Certificates(
        server=ServerTls(cert=server_cert, key=server_key),
        mutual=ServerTls(cert=server_cert, key=server_key, client_ca=ca),
        ca=ca,
        cert=cert,
        key=key,
    )


def _issue(authority: trustme.CA, folder: Path, name: str, identity: str) -> tuple[str, str]:
    issued = authority.issue_cert(identity)
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    return str(cert), str(key)
