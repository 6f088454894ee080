"""Every real capture through a whole bridge: in any order and over either transport, the same.

The golden files hold the spans as OTLP JSON, as a collector received them.
`OTELBRIDGE_UPDATE_GOLDEN=1` writes them anew: read the difference against the
capture before committing it.

The sums below were added up by hand from the captures:

agent-session-paced (and anthropic-agent-session, the same scenario):
    uncached   143 + 4 + 6 + 8 + 7 + 7 + 7 + 7 + 19 + 3 + 5              =     216
    cache read 14210 + 14428 + 16332 + 16853 + 17093 + 17243 + 17331
               + 15002                                                    = 128,492
    cache write 14210 + 218 + 1904 + 521 + 240 + 150 + 88 + 96 + 15002   =  32,429
    input      216 + 128,492 + 32,429                                     = 161,137
    output     24 + 136 + 167 + 405 + 101 + 123 + 63 + 60 + 77 + 213 + 36 =   1,405
injected-tools-paced:
    uncached   (5 + 12 + 9) * 2 + (8 + 20) + (9 + 25)                     =     114
    cache read (9200 + 9530) * 2                                          =  37,460
    cache write (9200 + 330 + 120) * 2                                    =  19,300
    input      114 + 37,460 + 19,300                                      =  56,874
    output     (74 + 99 + 34) + (71 + 96 + 31) + (33 + 15) + (36 + 17)
               = 207 + 198 + 48 + 53                                      =     506
openai-chat-session (and its seed-era twin, where cache counts are metadata alone):
    uncached   806 + 149 + 190 + 142 + 96 + 284 + 300 + 124               =   2,091
    cache read 1024 + 1792 + 1920 + 2048 + 128 + 256                      =   7,168
    input      2,091 + 7,168                                              =   9,259
    output     88 + 131 + 45 + 9 + 320 + 40 + 60 + 12                     =     705
    reasoning  64 + 64 + 256                                              =     384
openai-responses-session:
    uncached   696 + 198 + 380 + 156 + 55 + 14                            =   1,499
    cache read 7424 + 8192 + 8320 + 8704                                  =  32,640
    input      1,499 + 32,640 (= 8310-190 + 8650-260 + ... by total_tokens) =  34,139
    output     190 + 260 + 80 + 40 + 18 + 11                              =     599
    reasoning  128 + 192                                                  =     320
errors: 90 + 91 + 11 in, 3 + 3 + 6 + 3 out, of 43 interceptions           = 192 / 15
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otelbridge.transports.capture import read_capture
from otelbridge.transports.client import send_calls
from otelbridge.transports.grpc_caller import GrpcCaller
from otelbridge.transports.target import connected
from tests.collector import Collector
from tests.e2e.bridges import Bridge, gateway_target, running, total_of
from tests.faults import fault
from tests.store.files import GATEWAY, GATEWAY_KEY, write_store

CAPTURES = Path(__file__).parents[1] / "captures"
# Long enough for all records of a capture to arrive.
SETTINGS = {"assembly": {"grace_s": 1.0}}
GOLDEN = Path(__file__).parent / "golden"


class Sums(NamedTuple):
    """What a capture adds up to."""

    interceptions: int
    input_tokens: int
    output_tokens: int
    cache_read: int
    cache_write: int
    reasoning: int


SUMS = {
    "agent-session-paced": Sums(11, 161_137, 1_405, 128_492, 32_429, 0),
    "anthropic-agent-session": Sums(11, 161_137, 1_405, 128_492, 32_429, 0),
    "seed-era-anthropic-agent-session": Sums(11, 161_137, 1_405, 128_492, 32_429, 0),
    "injected-tools-paced": Sums(4, 56_874, 506, 37_460, 19_300, 0),
    "openai-chat-session": Sums(8, 9_259, 705, 7_168, 0, 384),
    "seed-era-openai-chat-session": Sums(8, 9_259, 705, 7_168, 0, 384),
    "openai-responses-session": Sums(6, 34_139, 599, 32_640, 0, 320),
    "errors": Sums(43, 192, 15, 0, 0, 0),
}
_COUNTERS = {
    "output_tokens": "gen_ai_client_inference_usage_output_tokens_total",
    "input_tokens": "gen_ai_client_inference_usage_input_tokens_total",
    "cache_read": "gen_ai_client_inference_usage_cache_read_input_tokens_total",
    "cache_write": "gen_ai_client_inference_usage_cache_write_input_tokens_total",
    "reasoning": "gen_ai_client_inference_usage_reasoning_output_tokens_total",
}


class Told(NamedTuple):
    """What a bridge told of one capture.

    Attributes:
        spans: As OTLP JSON, in an order of their own.
        sums: Of its counters, and of spans of interceptions.
    """

    spans: list[dict[str, object]]
    sums: Sums


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["as recorded", "shuffled", "as a gateway"]
)
async def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Told]:
    """Send all captures to one bridge, one after the other; return what it told of each."""
    directory = tmp_path_factory.mktemp("captures")
    write_store(directory, GATEWAY)
    async with Collector() as collector, running(directory, collector, SETTINGS) as bridge:
        counted = {}
        for name in SUMS:
            before = await counters(bridge)
            await send(name, request.param, bridge)
            # Tokens are counted with the reply, interceptions when they are told.
            counted[name] = await counters(bridge) - before
        everything = sum(sums.interceptions for sums in SUMS.values())
        await collector.wait_for(lambda c: len(chat_spans(c.spans)) == everything)
        assert await bridge.total("aibridge_interceptions_total") == everything
    told = {name: told_of(name, collector, counted[name]) for name in SUMS}
    assert sum(len(each.spans) for each in told.values()) == len(collector.spans)
    return told


async def send(name: str, order: str, bridge: Bridge) -> None:
    """Send a capture."""
    calls = read_capture(CAPTURES / f"{name}.jsonl")
    if order == "shuffled":  # and at once, with nobody waiting for a start
        random.Random(name).shuffle(calls)
        records = [call for call in calls if call.rpc.startswith("Recorder/")]
        await asyncio.gather(*(bridge.call(each.rpc, each.request) for each in records))
    elif order == "as a gateway":
        async with connected(gateway_target(bridge), key=GATEWAY_KEY) as caller:
            await send_calls(caller, calls, speed=None)
    else:
        await send_calls(GrpcCaller(bridge.channel), calls, speed=None)


async def counters(bridge: Bridge) -> Counter[str]:
    """Return the counters of tokens."""
    samples = await bridge.metrics()
    return Counter({field: int(total_of(samples, name)) for field, name in _COUNTERS.items()})


def told_of(name: str, collector: Collector, counted: Counter[str]) -> Told:
    """Return what was told of one capture: an interception's id is its trace's."""
    ids = {
        UUID(call.interception).bytes
        for call in read_capture(CAPTURES / f"{name}.jsonl")
        if call.is_start
    }
    spans = [span for span in collector.spans if span.trace_id in ids]
    sums = Sums(
        interceptions=len(chat_spans(spans)), **{field: counted[field] for field in _COUNTERS}
    )
    as_json = [MessageToDict(span) for span in spans]
    return Told(sorted(as_json, key=lambda span: (span["traceId"], span["spanId"])), sums)


def chat_spans(spans: Iterable[Span]) -> list[Span]:
    """Return the spans that tell an interception."""
    return [span for span in spans if span.name.startswith("chat")]


@fault(22)
@pytest.mark.parametrize("name", sorted(SUMS))
async def test_a_capture_gives_its_golden_telemetry_in_any_order(
    told: dict[str, Told], name: str
) -> None:
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("OTELBRIDGE_UPDATE_GOLDEN"):
        golden.write_text(json.dumps(told[name].spans, indent=1, ensure_ascii=False) + "\n")

    assert told[name].spans == json.loads(golden.read_text())
    assert told[name].sums == SUMS[name]


def test_every_capture_has_sums_that_were_added_up_by_hand() -> None:
    assert {path.stem for path in CAPTURES.glob("*.jsonl")} == set(SUMS)
