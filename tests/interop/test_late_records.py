"""A record that comes after its interception was told reaches the collector all the same."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.interop.collector import destinations
from tests.interop.otlp import attributes
from tests.interop.programs import eventually
from tests.interop.sent import Thought, interceptions
from tests.interop.session import agent_session

if TYPE_CHECKING:
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from tests.interop.collector import Collector, Received
    from tests.interop.conftest import StartBridge

pytestmark = pytest.mark.interop


def test_a_late_record_is_a_log_record_of_its_chat_span(
    collector: Collector, start_bridge: StartBridge
) -> None:
    records = agent_session(time.time_ns())
    (late,) = (record for record in records if isinstance(record, Thought))
    thinker, *_ = interceptions(records)
    bridge = start_bridge(*destinations(collector, "traces", "logs"))
    bridge.send(record for record in records if record is not late)
    for received in collector.over.values():
        eventually(partial(_check_told, received, thinker.chat_span_id))

    bridge.send([late])

    for received in collector.over.values():
        record = eventually(partial(_only_log_record, received))
        assert record.event_name == "aibridge.late_record"
        assert (record.trace_id, record.span_id) == (thinker.trace_id, thinker.chat_span_id)
        assert attributes(record.attributes)["aibridge.thought.source"] == "thinking"


def _check_told(received: Received, span_id: bytes) -> None:
    assert span_id in {span.span_id for span in received.spans()}, "not told yet"


def _only_log_record(received: Received) -> LogRecord:
    records = received.log_records()
    assert len(records) == 1, f"{len(records)} log records"
    return records[0]
