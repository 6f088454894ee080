"""OTLP/gRPC against a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest

from otelbridge.delivery.otlp_grpc import GrpcExporter, outcome_of, retry_after_s
from otelbridge.delivery.outcomes import Ok, Refused, Retry, TooLarge
from otelbridge.domain.ports import Signal
from otelbridge.errors import ConfigError
from tests.collector import Answer, Collector
from tests.delivery.fakes import ENVELOPE, destination, log_record, span

if TYPE_CHECKING:
    from otelbridge.delivery.outcomes import Exporter
    from tests.delivery.conftest import Certificates

Code = grpc.StatusCode
ONE_SPAN = ENVELOPE.wrap([span("chat")])


async def test_a_request_arrives_as_it_was_encoded(
    collector: Collector, grpc_exporter: Exporter
) -> None:
    outcome = await grpc_exporter.export(Signal.TRACES, ONE_SPAN)

    assert outcome == Ok()
    assert [request.body for request in collector.requests] == [ONE_SPAN]


async def test_every_signal_has_its_own_service(
    collector: Collector, grpc_exporter: Exporter
) -> None:
    await grpc_exporter.export(Signal.LOGS, ENVELOPE.wrap([log_record("late")]))
    await grpc_exporter.export(Signal.METRICS, b"")

    assert [request.signal for request in collector.requests] == [Signal.LOGS, Signal.METRICS]
    assert [record.event_name for record in collector.logs] == ["late"]


async def test_headers_and_the_user_agent_are_sent(collector: Collector) -> None:
    config = destination(collector.grpc_endpoint, headers={"X-Tenant": "a b", "authorization": "k"})
    exporter = GrpcExporter(config, user_agent="otelbridge/1.2.3")

    await exporter.export(Signal.TRACES, ONE_SPAN)
    await exporter.close()

    headers = collector.requests[0].headers
    assert (headers["x-tenant"], headers["authorization"]) == ("a b", "k")
    assert headers["user-agent"].startswith("otelbridge/1.2.3 ")


async def test_gzip_makes_a_request_smaller_on_the_wire(collector: Collector) -> None:
    body = ENVELOPE.wrap([span("chat", padding=100_000)])
    counted: list[int] = []

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server, from_client = await asyncio.open_connection("127.0.0.1", collector.grpc_port)
        back = asyncio.create_task(_pump(to_server, writer, []))
        await _pump(reader, from_client, counted)
        await back

    proxy = await asyncio.start_server(forward, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    exporter = GrpcExporter(
        destination(f"http://127.0.0.1:{port}", compression="gzip"), user_agent="test"
    )

    await exporter.export(Signal.TRACES, body)
    await exporter.close()
    proxy.close()

    assert collector.requests[0].body == body
    assert sum(counted) < 10_000


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: list[int]
) -> None:
    try:
        while data := await reader.read(65536):
            counted.append(len(data))
            writer.write(data)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.CANCELLED, Retry),
        (Code.DEADLINE_EXCEEDED, Retry),
        (Code.ABORTED, Retry),
        (Code.OUT_OF_RANGE, Retry),
        (Code.UNAVAILABLE, Retry),
        (Code.DATA_LOSS, Retry),
        (Code.RESOURCE_EXHAUSTED, TooLarge),
        (Code.UNAUTHENTICATED, Retry),
        (Code.PERMISSION_DENIED, Retry),
        (Code.UNIMPLEMENTED, Retry),
        (Code.NOT_FOUND, Retry),
        (Code.UNKNOWN, Refused),
        (Code.INVALID_ARGUMENT, Refused),
        (Code.ALREADY_EXISTS, Refused),
        (Code.FAILED_PRECONDITION, Refused),
        (Code.INTERNAL, Refused),
    ],
)
async def test_every_status_has_one_reaction(
    collector: Collector, grpc_exporter: Exporter, code: grpc.StatusCode, expected: type
) -> None:
    collector.script(Answer(code=code, message="why\x1b"))

    outcome = await grpc_exporter.export(Signal.TRACES, ONE_SPAN)

    assert type(outcome) is expected
    assert isinstance(outcome, Retry | Refused | TooLarge)
    assert str(outcome) == rf"grpc_{code.name.lower()}: why\x1b"


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE])
async def test_retry_info_says_when_to_try_again(
    collector: Collector, grpc_exporter: Exporter, code: grpc.StatusCode
) -> None:
    collector.script(Answer(code=code, retry_after_s=0.2))

    outcome = await grpc_exporter.export(Signal.TRACES, ONE_SPAN)

    assert outcome == Retry(reason=f"grpc_{code.name.lower()}", after_s=0.2)


@pytest.mark.parametrize("value", [b"\xff\xff", b"", "text"])
def test_status_details_without_a_retry_info_say_nothing(value: str | bytes) -> None:
    assert retry_after_s([("other", b"x"), ("grpc-status-details-bin", value)]) is None


def test_a_wrong_setting_is_not_retried_sooner_because_the_server_says_so() -> None:
    outcome = outcome_of(Code.UNAUTHENTICATED, None, after_s=0.0)

    assert outcome == Retry(reason="grpc_unauthenticated")


async def test_partial_success_is_read(collector: Collector, grpc_exporter: Exporter) -> None:
    collector.script(*[Answer(rejected=2, message="too old")] * 3)

    outcomes = [await grpc_exporter.export(signal, b"") for signal in Signal]

    assert outcomes == [Ok(rejected=2, message="too old")] * 3


async def test_a_server_that_never_answers_is_given_up(collector: Collector) -> None:
    collector.script(Answer(never=True))
    exporter = GrpcExporter(destination(collector.grpc_endpoint, timeout_s=0.1), user_agent="test")

    outcome = await exporter.export(Signal.TRACES, ONE_SPAN)
    await exporter.close()

    assert isinstance(outcome, Retry)
    assert outcome.reason == "grpc_deadline_exceeded"


async def test_a_server_that_comes_back_is_found_within_a_second() -> None:
    async with Collector() as before:
        port = before.grpc_port
    exporter = GrpcExporter(destination(f"http://127.0.0.1:{port}"), user_agent="test")
    away = await exporter.export(Signal.TRACES, ONE_SPAN)

    async with Collector(grpc_port=port) as after, asyncio.timeout(5):
        while not isinstance(await exporter.export(Signal.TRACES, ONE_SPAN), Ok):
            pass
        await exporter.close()

    assert isinstance(away, Retry)
    assert away.reason == "grpc_unavailable"
    assert len(after.spans) == 1


async def test_own_certificates_are_used_whatever_the_environment_says(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "/nonexistent")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    tls = {"ca": certificates.ca, "cert": certificates.cert, "key": certificates.key}

    async with Collector(tls=certificates.mutual) as collector:
        exporter = GrpcExporter(destination(collector.grpc_endpoint, tls=tls), user_agent="test")
        outcome = await exporter.export(Signal.TRACES, ONE_SPAN)
        await exporter.close()

    assert outcome == Ok()


async def test_a_server_with_a_certificate_of_an_unknown_authority_gets_nothing(
    certificates: Certificates,
) -> None:
    async with Collector(tls=certificates.server) as collector:
        exporter = GrpcExporter(destination(collector.grpc_endpoint), user_agent="test")
        outcome = await exporter.export(Signal.TRACES, ONE_SPAN)
        await exporter.close()

    assert isinstance(outcome, Retry)
    assert collector.requests == []


async def test_a_certificate_that_cannot_be_read_is_a_configuration_error() -> None:
    config = destination("https://127.0.0.1:1", tls={"ca": "/nonexistent/ca.pem"})

    with pytest.raises(ConfigError, match=r"destination d\.tls\.ca: /nonexistent/ca\.pem: no such"):
        GrpcExporter(config, user_agent="test")
