from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelbridge.delivery.requests import Envelope
from otelbridge.delivery.resource import encode_resource
from tests.delivery.fakes import RESOURCE, log_record, span

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.1"
ENVELOPE = Envelope(encode_resource(RESOURCE), version="1.2.3", schema_url=SCHEMA_URL)


@given(sizes=st.lists(st.integers(0, 20_000), max_size=4))
def test_rows_become_the_spans_of_one_request(sizes: list[int]) -> None:
    rows = [span(f"chat {number}", padding=size) for number, size in enumerate(sizes)]

    request = ExportTraceServiceRequest.FromString(ENVELOPE.wrap(rows))

    (resource_spans,) = request.resource_spans
    (scope_spans,) = resource_spans.scope_spans
    assert resource_spans.resource == encode_resource(RESOURCE)
    assert (scope_spans.scope.name, scope_spans.scope.version) == ("otelbridge", "1.2.3")
    assert scope_spans.schema_url == SCHEMA_URL
    assert [each.name for each in scope_spans.spans] == [f"chat {n}" for n in range(len(sizes))]


def test_rows_become_the_log_records_of_one_request() -> None:
    body = ENVELOPE.wrap([log_record("a"), log_record("b")])

    (resource_logs,) = ExportLogsServiceRequest.FromString(body).resource_logs
    (scope_logs,) = resource_logs.scope_logs
    assert resource_logs.resource == encode_resource(RESOURCE)
    assert [record.event_name for record in scope_logs.log_records] == ["a", "b"]
    assert scope_logs.schema_url == SCHEMA_URL


def test_the_framing_is_what_protobuf_itself_would_write() -> None:
    body = ENVELOPE.wrap([span("chat", padding=300)])

    assert ExportTraceServiceRequest.FromString(body).SerializeToString() == body


def test_without_a_schema_there_is_no_schema_url() -> None:
    body = Envelope(encode_resource(RESOURCE), version="1").wrap([])

    assert b"schemas" not in body
