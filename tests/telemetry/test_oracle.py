"""The bridge against the oracle: invented sessions and every real capture, told in every way.

The oracle says nothing of cost, which has tests of its own.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.telemetry.invented import NOW_NS, Inventor
from tests.telemetry.oracle import Oracle
from tests.telemetry.through_core import EVERY, Options, Told, booked, requests_of, tell

CAPTURES = sorted((Path(__file__).parents[1] / "captures").glob("*.jsonl"))
#: When captures are received: after they were made.
LATER_NS = NOW_NS + 24 * 3600 * 10**9
SESSIONS = 250
#: Each option with each other one at least once; all profiles, modes, groupings and forms.
SOME = (
    Options("latest", "NO_CONTENT", "interception", "span"),
    Options("v1_41", "SPAN_AND_EVENT", "thread", "both"),
    Options("dup", "EVENT_ONLY", "interception", "both"),
    Options("latest", "SPAN_ONLY", "thread", "log"),
)
#: Counters that the oracle knows, and which of their labels: provider, outcome, injected,
#: server and error.
LABELS = {
    **{
        f"gen_ai.client.inference.usage.{part}": (1,)
        for part in (
            "input_tokens",
            "output_tokens",
            "cache_read.input_tokens",
            "cache_write.input_tokens",
            "reasoning.output_tokens",
        )
    },
    "aibridge.interceptions": (0, 3),
    "aibridge.threads": (0,),
    "aibridge.prompts": (0,),
    "aibridge.model_thoughts": (0,),
    "aibridge.usage.inconsistent": (0,),
    "aibridge.tool.calls": (1,),
    "aibridge.mcp.tool.calls": (0, 1),
}


def check(told: dict[Options, Told], oracle: Oracle) -> None:
    """Check that exactly what the oracle says was told to every destination."""
    for options, (spans, logs) in told.items():
        expected = oracle.spans(**options._asdict())
        assert spans.keys() == expected.keys(), options
        for where, span in spans.items():
            found = differences(without_cost(span), expected[where])
            assert found == [], (options, where)
        wanted = [] if options.events == "span" else logs_of(oracle, options)
        assert sorted(map(fixed, logs)) == sorted(map(fixed, wanted)), options


def differences(told: Any, expected: Any, path: str = "") -> list[str]:
    """Return where two values differ, what was told before what the oracle says."""
    if not isinstance(told, dict) or not isinstance(expected, dict):
        return [] if told == expected else [f"{path}: {told!r}, not {expected!r}"]
    return [
        each
        for key in sorted(told.keys() | expected.keys())
        for each in differences(told.get(key), expected.get(key), f"{path}/{key}")
    ]


def logs_of(oracle: Oracle, options: Options) -> list[dict[str, Any]]:
    return oracle.logs(content=options.content, trace_grouping=options.trace_grouping)


def without_cost(span: dict[str, Any]) -> dict[str, Any]:
    told = span["attributes"].items()
    kept = {key: value for key, value in told if not key.startswith("aibridge.cost.")}
    return {**span, "attributes": kept}


def fixed(log: dict[str, Any]) -> str:
    return repr(sorted((key, value) for key, value in log.items() if key != "attributes")) + repr(
        sorted(log["attributes"].items())
    )


def counters(series: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    """Return what was counted, by the labels that the oracle tells apart."""
    found: Counter[tuple[str, ...]] = Counter()
    for (name, *labels), value in series.items():
        if name in LABELS:
            found[name, *(labels[number] for number in LABELS[name])] += value  # type: ignore[assignment]  # counts
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("seed", range(4))
def test_invented_sessions_are_told_as_the_oracle_says(seed: int, tmp_path: Path) -> None:
    requests = Inventor(seed).requests(SESSIONS)

    told = tell(tmp_path, requests, SOME, now_ns=NOW_NS)

    oracle = Oracle(requests, now_ns=NOW_NS)
    check(told, oracle)
    assert counters(booked(tmp_path)) == oracle.counters()


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_captures_are_told_as_the_oracle_says(capture: Path, tmp_path: Path) -> None:
    requests = requests_of(capture)

    told = tell(tmp_path, requests, EVERY, now_ns=LATER_NS)

    oracle = Oracle(requests, now_ns=LATER_NS)
    check(told, oracle)
    assert counters(booked(tmp_path)) == oracle.counters()


def test_invented_sessions_hold_everything_that_is_told(tmp_path: Path) -> None:
    """What is invented reaches every attribute, so that the tests above say something of it."""
    requests = Inventor(0).requests(SESSIONS)

    spans = tell(tmp_path, requests, SOME[1:2], now_ns=NOW_NS)[SOME[1]].spans.values()

    counted = Counter(key for span in spans for key in span["attributes"])
    assert {key for key in EXPECTED if counted[key] < 3} == set()
    names = Counter(span["name"].partition(" ")[0] for span in spans)
    assert names["chat"] > 500
    assert names["execute_tool"] > 500


#: Attributes that must be among what is told of the invented sessions.
EXPECTED = (
    "aibridge.agent_firewall.sequence_number",
    "aibridge.attributes.truncated",
    "aibridge.end.conflict",
    "aibridge.interception.incomplete",
    "aibridge.interception.orphan",
    "aibridge.mcp.server.url",
    "aibridge.metadata.dropped",
    "aibridge.metadata.nested",
    "aibridge.provider.type",
    "aibridge.response.ids",
    "aibridge.thread.parent.id",
    "aibridge.thread.unresolved",
    "aibridge.timestamp.clamped",
    "aibridge.timestamp.synthetic",
    "aibridge.tool.inferred",
    "aibridge.usage.audio.input_tokens",
    "aibridge.usage.cache_write.ephemeral_1h.input_tokens",
    "aibridge.usage.extra.completion_accepted_prediction",
    "aibridge.usage.inconsistent",
    "aibridge.usage.web_search.requests",
    "aibridge.workspace.id",
    "error.type",
    "gen_ai.conversation.id",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "user.name",
)
