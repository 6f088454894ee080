"""What is no message of the contract, and how large one may be, over the port of a whole bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.methods import request_classes
from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.faults import fault
from tests.interop.otlp import attributes
from tests.store.files import GATEWAY, GATEWAY_KEY, write_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.bridges import Bridge

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 16 * 1024 * 1024 + 64 * 1024
REQUESTS = {name: kind.DESCRIPTOR.name for name, kind in request_classes().items()}
RECORDS = [name for name in REQUESTS if name.startswith("Recorder/")]
# Field 1, a string that is the interception's id, with a byte that UTF-8 never has.
NO_TEXT = b"\n\x04id\xff\xfe"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bridge]:
    """Run a bridge for all tests of this module."""
    directory = tmp_path_factory.mktemp("bridge")
    write_store(directory, GATEWAY)
    settings = {"assembly": {"grace_s": 0.02}}
    async with Collector() as collector, running(directory, collector, settings) as started:
        yield started


@pytest.mark.parametrize("method", REQUESTS)
async def test_bytes_that_are_no_request_are_refused_by_every_method(
    bridge: Bridge, method: str
) -> None:
    code, text = await gw.refusal_of_bytes(bridge, method, b"\xff\xff\xff", key=GATEWAY_KEY)

    assert (code, text) == ("INVALID_ARGUMENT", f"{method}: 3 bytes are not a {REQUESTS[method]}")


@fault(28)
@pytest.mark.parametrize("method", RECORDS)
async def test_text_that_is_not_utf_8_is_refused(bridge: Bridge, method: str) -> None:
    code, text = await gw.refusal_of_bytes(bridge, method, NO_TEXT)

    assert (code, text) == ("INVALID_ARGUMENT", f"{method}: 6 bytes are not a {REQUESTS[method]}")


@fault(28)
async def test_a_refused_call_is_counted_by_its_status(bridge: Bridge) -> None:
    await gw.refusal_of_bytes(bridge, "Recorder/RecordModelThought", NO_TEXT)

    await bridge.collector.wait_for(
        lambda c: ("proto.Recorder/RecordModelThought", "INVALID_ARGUMENT") in calls(c)
    )


def calls(collector: Collector) -> set[tuple[object, object]]:
    """Return the methods that were called and the statuses that were answered, as exported."""
    points = [
        attributes(point.attributes)
        for metric in collector.metrics
        if metric.name == "rpc.server.call.duration"
        for point in metric.histogram.data_points
        if point.count
    ]
    return {(each["rpc.method"], each["rpc.response.status_code"]) for each in points}


@fault(28)
async def test_a_metadata_key_that_is_not_utf_8_is_refused(bridge: Bridge) -> None:
    raw = gw.prompt(gw.fresh_id()).SerializeToString() + b'"\x04\n\x02\xff\xfe'  # metadata = 4

    code, _ = await gw.refusal_of_bytes(bridge, "Recorder/RecordPromptUsage", raw)

    assert code == "INVALID_ARGUMENT"


@fault(31)
@pytest.mark.parametrize(
    "method", ["Recorder/RecordEverything", "Recorder/recordInterception", "Prophet/Foresee"]
)
async def test_a_method_that_the_contract_does_not_have_is_unimplemented(
    bridge: Bridge, method: str
) -> None:
    code, _ = await gw.refusal_of_bytes(bridge, method, b"", key=GATEWAY_KEY)

    assert code == "UNIMPLEMENTED"


def prompt_of(size: int, interception: str) -> pb.RecordPromptUsageRequest:
    """Return a prompt whose message has this many bytes, at least 16 MiB."""
    request = gw.prompt(interception, prompt="x" * (size - 100))
    request.prompt += "x" * (size - request.ByteSize())
    assert request.ByteSize() == size
    return request


@fault(27)
async def test_a_message_of_exactly_the_limit_is_recorded(bridge: Bridge) -> None:
    interception = gw.fresh_id()
    request = prompt_of(LIMIT, interception)

    await gw.send(bridge, gw.start(interception), request, gw.end(interception))

    (event,) = (await gw.told(bridge, interception)).events
    assert attributes(event.attributes)["aibridge.prompt.length"] == len(request.prompt)


@fault(27)
async def test_a_message_of_a_byte_more_is_refused_with_the_limit(bridge: Bridge) -> None:
    code, text = await gw.refusal(bridge, prompt_of(LIMIT + 1, gw.fresh_id()))

    assert code == "RESOURCE_EXHAUSTED"
    assert str(LIMIT) in text


@fault(27, 28)
async def test_what_was_refused_leaves_the_connection_usable(bridge: Bridge) -> None:
    interception = gw.fresh_id()
    await gw.refusal(bridge, prompt_of(LIMIT + 1, interception))
    await gw.refusal_of_bytes(bridge, "Recorder/RecordPromptUsage", NO_TEXT)

    await gw.send(bridge, gw.start(interception), gw.end(interception))

    assert (await gw.told(bridge, interception)).events == []
