"""Records as no well-behaved gateway sends them, through a whole bridge: each is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from google.protobuf.any_pb2 import Any as Packed

from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import Bridge, running
from tests.faults import fault
from tests.interop.otlp import attributes

pytestmark = pytest.mark.asyncio(loop_scope="module")

MILLION = "n" * 1_000_000
ODD = 'a\0b\x1b[31m"\n\u2028\u202e\ud7ff\uffff'
COUNT = "aibridge.metadata.dropped"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bridge]:
    """Run a bridge for all tests of this module; an interception without an end ends soon."""
    settings = {
        "assembly": {"grace_s": 0.02, "max_age_s": 0.5},
        "content": {"capture": "SPAN_AND_EVENT"},
    }
    directory: Path = tmp_path_factory.mktemp("bridge")
    async with Collector() as collector, running(directory, collector, settings) as started:
        yield started


@fault(23)
async def test_a_start_without_an_end_is_told_after_a_while_and_flagged(bridge: Bridge) -> None:
    interception = gw.fresh_id()

    await gw.send(bridge, gw.start(interception), gw.tokens(interception, input_tokens=7))
    told = attributes((await gw.told(bridge, interception)).attributes)

    assert told["aibridge.interception.incomplete"] is True
    assert told["gen_ai.usage.input_tokens"] == 7


@fault(29)
@pytest.mark.parametrize("text", [ODD, MILLION], ids=["odd", "a million"])
async def test_odd_text_is_kept_as_content_and_made_safe_in_names_labels_and_logs(
    bridge: Bridge, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    interception = gw.fresh_id()

    await gw.send(
        bridge,
        gw.start(interception, model=text, provider=text, client=text),
        gw.prompt(interception, prompt=text),
        gw.tool(interception, tool=text, injected=True),
        gw.end(interception),
    )
    span = await gw.told(bridge, interception)
    page = await bridge.metrics()

    (message,) = json.loads(str(attributes(span.attributes)["gen_ai.input.messages"]))
    content = message["parts"][0]["content"]
    assert content == text if text == ODD else content.startswith("n" * 1000)
    assert attributes(span.attributes)["gen_ai.request.model"] == text[:1024]
    names = {each.name for each in bridge.collector.spans if each.trace_id == span.trace_id}
    assert all(name.isprintable() and len(name) <= len("execute_tool ") + 64 for name in names)
    labels = {value for _, pairs in page for _, value in pairs}
    assert all(len(value) <= 64 and value.isprintable() for value in labels), labels
    assert "\x1b" not in caplog.text
    assert "n" * 100 not in caplog.text


def nested(depth: int) -> bytes:
    """Return a list in a list in a list ..., encoded: deeper than protobuf's own limit."""
    value = b"\x1a\x04deep"  # Value.string_value = 3
    for _ in range(depth):
        for field in (1, 6):  # ListValue.values, Value.list_value
            value = bytes([field << 3 | 2]) + _varint(len(value)) + value
    return value


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])


@fault(30)
@pytest.mark.parametrize(
    ("metadata", "dropped"),
    [
        ({f"key{number:05}": gw.packed(number) for number in range(10_000)}, 10_000 - 32),
        ({"large": Packed(type_url="example.com/Large", value=bytes(2**20))}, 0),
        ({"large": gw.packed("x" * 2**20)}, 0),
        ({"odd": Packed(type_url="example.com/Unknown", value=b"\xff\0")}, 0),
        (
            {"deep": Packed(type_url=gw.packed(1).type_url, value=nested(60))},
            0,
        ),
        ({"": gw.packed(1), "a\n": gw.packed(1), "k" * 10_000: gw.packed(1)}, 2),
    ],
    ids=["10,000 keys", "1 MiB of Any", "1 MiB of text", "unknown type", "60 deep", "bad keys"],
)
async def test_a_record_is_kept_whatever_its_metadata_and_what_is_left_out_is_counted(
    bridge: Bridge, metadata: dict[str, Packed], dropped: int
) -> None:
    interception = gw.fresh_id()

    await gw.send(
        bridge,
        gw.start(interception, metadata=metadata),
        gw.tokens(interception, input_tokens=7),
        gw.end(interception),
    )
    span = await gw.told(bridge, interception)

    told = attributes(span.attributes)
    kept = {key: value for key, value in told.items() if key.startswith("aibridge.metadata.")}
    assert told["gen_ai.usage.input_tokens"] == 7
    assert kept.pop(COUNT, 0) == dropped, kept.keys()
    assert len(kept) == len(metadata) - dropped
    assert span.ByteSize() < 64 * 1024
