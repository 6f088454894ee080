"""The trace that docs/telemetry.md shows is the one that Jaeger's API gives back."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from tests.docs.pages import ROOT
from tests.docs.traces import EXAMPLES, as_text, in_order, text_of
from tests.interop.bridge import Destination
from tests.interop.conftest import StartBridge
from tests.interop.jaeger import Jaeger
from tests.interop.programs import eventually
from tests.telemetry.through_core import place, plain_span

pytestmark = pytest.mark.interop


def test_jaeger_gives_back_the_documented_trace(
    jaeger: Jaeger, start_bridge: StartBridge, captures: Path
) -> None:
    example = EXAMPLES["tool"]
    to = Destination(name="jaeger", protocol="grpc", port=jaeger.grpc_port, signals=("traces",))
    start_bridge(to).replay(captures / "injected-tools-paced.jsonl")

    spans = eventually(lambda: jaeger.trace(UUID(example.trace).bytes, spans=2))

    told = {place(span.trace_id, span.span_id): plain_span(span) for span in spans}
    for span in told.values():  # Jaeger has an order of its own, and warns of what has no length
        span["attributes"].pop("@jaeger@warnings", None)
        span["events"].sort(key=lambda event: event["at"])
    assert as_text(example, in_order(told)).splitlines() == text_of(example).splitlines()
    assert text_of(example) in (ROOT / "docs/telemetry.md").read_text()
