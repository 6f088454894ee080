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
from pathlib import Path
from typing import NamedTuple

import pytest
from google.protobuf.json_format import MessageToDict

from otelbridge.transports.capture import read_capture
from otelbridge.transports.client import send_calls
from otelbridge.transports.grpc_caller import GrpcCaller
from otelbridge.transports.target import connected
from tests.collector import Collector
from tests.e2e.bridges import gateway_target, running
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
    "interceptions": "aibridge_interceptions_total",
}


def told(collector: Collector) -> list[dict[str, object]]:
    """Return the spans as OTLP JSON, in an order of their own."""
    spans = [MessageToDict(span) for span in collector.spans]
    return sorted(spans, key=lambda span: (span["traceId"], span["spanId"]))


@pytest.mark.parametrize("order", ["as recorded", "shuffled", "as a gateway"])
@pytest.mark.parametrize("name", sorted(SUMS))
async def test_a_capture_gives_its_golden_telemetry_in_any_order(
    name: str, order: str, tmp_path: Path
) -> None:
    calls = read_capture(CAPTURES / f"{name}.jsonl")
    if order == "shuffled":
        random.Random(name).shuffle(calls)
    write_store(tmp_path, GATEWAY)

    async with Collector() as collector, running(tmp_path, collector, SETTINGS) as bridge:
        if order == "shuffled":  # and at once, with nobody waiting for a start
            records = [call for call in calls if call.rpc.startswith("Recorder/")]
            await asyncio.gather(*(bridge.call(each.rpc, each.request) for each in records))
        elif order == "as a gateway":
            async with connected(gateway_target(bridge), key=GATEWAY_KEY) as caller:
                await send_calls(caller, calls, speed=None)
        else:
            await send_calls(GrpcCaller(bridge.channel), calls, speed=None)
        await collector.wait_for(lambda c: chat_spans(c) == SUMS[name].interceptions)
        sums = Sums(**{field: int(await bridge.total(n)) for field, n in _COUNTERS.items()})

    golden = GOLDEN / f"{name}.json"
    if os.environ.get("OTELBRIDGE_UPDATE_GOLDEN"):
        golden.write_text(json.dumps(told(collector), indent=1, ensure_ascii=False) + "\n")
    assert told(collector) == json.loads(golden.read_text())
    assert sums == SUMS[name]


def chat_spans(collector: Collector) -> int:
    """Return how many interceptions were told."""
    return sum(span.name.startswith("chat") for span in collector.spans)


def test_every_capture_has_sums_that_were_added_up_by_hand() -> None:
    assert {path.stem for path in CAPTURES.glob("*.jsonl")} == set(SUMS)
