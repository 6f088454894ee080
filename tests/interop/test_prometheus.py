"""Prometheus scrapes a bridge, and PromQL gives the totals of what was sent."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.interop.programs import eventually
from tests.interop.prometheus import check_metrics
from tests.interop.sent import (
    Prompt,
    Record,
    Thought,
    Tool,
    interceptions,
    read_capture,
)
from tests.interop.session import agent_session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.bridge import Bridge
    from tests.interop.conftest import StartBridge
    from tests.interop.prometheus import Prometheus
    from tests.interop.sent import Interception

pytestmark = pytest.mark.interop

CAPTURES = ("anthropic-agent-session", "injected-tools-paced", "openai-chat-session")


@dataclass(frozen=True, kw_only=True)
class Scraped:
    """What was sent to a bridge, and the Prometheus that scraped it all the time."""

    records: list[Record]
    sent: list[Interception]
    prometheus: Prometheus

    def number_of(self, kind: type[Record]) -> int:
        """Return how many records of a kind were sent."""
        return sum(isinstance(record, kind) for record in self.records)


@pytest.fixture(scope="module")
def scraped(
    start_bridge: StartBridge, scrape: Callable[[Bridge], Prometheus], captures: Path
) -> Scraped:
    bridge = start_bridge()
    prometheus = scrape(bridge)
    eventually(lambda: _check_value(prometheus, 'up{job="otelbridge"}', 1))
    records: list[Record] = agent_session(time.time_ns())
    bridge.send(records)
    for name in CAPTURES:
        bridge.replay(captures / f"{name}.jsonl", "--fresh")
        records += read_capture(captures / f"{name}.jsonl")
    return Scraped(records=records, sent=interceptions(records), prometheus=prometheus)


def _check_value(prometheus: Prometheus, query: str, expected: float) -> None:
    value = prometheus.value(query)
    assert value == pytest.approx(expected), f"{query}: {value} instead of {expected}"


@pytest.mark.parametrize(
    ("metric", "part"),
    [
        ("gen_ai_client_inference_usage_input_tokens_total", "input_tokens"),
        ("gen_ai_client_inference_usage_output_tokens_total", "output_tokens"),
        ("gen_ai_client_inference_usage_cache_read_input_tokens_total", "cache_read_tokens"),
        ("gen_ai_client_inference_usage_cache_write_input_tokens_total", "cache_write_tokens"),
    ],
)
def test_tokens_are_the_sums_of_what_was_sent_by_model(
    scraped: Scraped, metric: str, part: str
) -> None:
    expected: Counter[str] = Counter()
    for each in scraped.sent:
        expected[each.start.model] += getattr(each, part)

    def check() -> None:
        shown = scraped.prometheus.by(
            "gen_ai_request_model", f"sum by (gen_ai_request_model) ({metric})"
        )
        assert shown == +expected

    eventually(check)


def test_interceptions_are_counted_by_outcome(scraped: Scraped) -> None:
    expected = Counter(each.outcome for each in scraped.sent)

    def check() -> None:
        query = "sum by (aibridge_outcome) (aibridge_interceptions_total)"
        assert scraped.prometheus.by("aibridge_outcome", query) == expected

    eventually(check)


def test_nothing_is_active_once_all_have_ended(scraped: Scraped) -> None:
    eventually(lambda: _check_value(scraped.prometheus, "sum(aibridge_interceptions_active)", 0))


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("aibridge_prompts_total", Prompt),
        ("aibridge_tool_calls_total", Tool),
        ("aibridge_model_thoughts_total", Thought),
    ],
)
def test_records_are_counted_by_their_kind(
    scraped: Scraped, metric: str, kind: type[Record]
) -> None:
    expected = scraped.number_of(kind)

    eventually(lambda: _check_value(scraped.prometheus, f"sum({metric})", expected))


def test_every_call_is_counted_as_received(scraped: Scraped) -> None:
    query, expected = "sum(otelbridge_records_received_total)", len(scraped.records)

    eventually(lambda: _check_value(scraped.prometheus, query, expected))


def test_the_token_histogram_sums_up_the_same_tokens(scraped: Scraped) -> None:
    expected = {
        "input": sum(each.input_tokens for each in scraped.sent),
        "output": sum(each.output_tokens for each in scraped.sent),
    }

    def check() -> None:
        query = "sum by (gen_ai_token_type) (gen_ai_client_token_usage_sum)"
        assert scraped.prometheus.by("gen_ai_token_type", query) == expected

    eventually(check)


def test_the_duration_histogram_has_every_interception(scraped: Scraped) -> None:
    metric = "gen_ai_client_operation_duration_seconds"
    expected_s = sum((each.ended_ns - each.started_ns) / 1e9 for each in scraped.sent)

    def check() -> None:
        _check_value(scraped.prometheus, f"sum({metric}_count)", len(scraped.sent))
        _check_value(scraped.prometheus, f'sum({metric}_bucket{{le="+Inf"}})', len(scraped.sent))
        _check_value(scraped.prometheus, f"sum({metric}_sum)", expected_s)

    eventually(check)


def test_a_new_series_is_scraped_with_zero_first(scraped: Scraped) -> None:
    metric, counted = "aibridge_interceptions_total", len(scraped.sent)

    def check() -> None:
        _check_value(scraped.prometheus, f"sum(max_over_time({metric}[10m]))", counted)

    eventually(check)
    _check_value(scraped.prometheus, f"sum(min_over_time({metric}[10m]))", 0)


def test_exemplars_of_durations_name_traces_that_were_sent(scraped: Scraped) -> None:
    ours = {each.trace_id.hex() for each in scraped.sent}

    def check() -> None:
        found = scraped.prometheus.exemplars("gen_ai_client_operation_duration_seconds_bucket")
        assert ours & {labels["trace_id"] for labels in found}

    eventually(check)


def test_totals_stay_over_a_restart_and_go_on_from_there(
    start_bridge: StartBridge, scrape: Callable[[Bridge], Prometheus]
) -> None:
    bridge = start_bridge()
    prometheus = scrape(bridge)
    tokens = "gen_ai_client_inference_usage_input_tokens_total"
    before, after = (agent_session(time.time_ns()) for _ in range(2))
    once = sum(each.input_tokens for each in interceptions(before))
    bridge.send(before)
    eventually(lambda: _check_value(prometheus, f"sum({tokens})", once))

    bridge.restart()
    restarted_at = time.time()
    scraped_since = f'timestamp(up{{job="otelbridge"}} == 1) > bool {restarted_at}'
    eventually(lambda: _check_value(prometheus, scraped_since, 1))
    _check_value(prometheus, f"sum({tokens})", once)
    bridge.send(after)

    eventually(lambda: _check_value(prometheus, f"sum({tokens})", 2 * once))
    eventually(lambda: _check_value(prometheus, "sum(aibridge_interceptions_total)", 6))
    _check_value(prometheus, f"sum(resets({tokens}[10m]))", 0)
    _check_value(prometheus, "sum(resets(aibridge_interceptions_total[10m]))", 0)


def test_promtool_accepts_the_metrics_of_a_new_bridge(
    start_bridge: StartBridge, promtool: Path
) -> None:
    bridge = start_bridge()

    checked = check_metrics(promtool, bridge.metrics_page())

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_promtool_accepts_the_metrics_of_a_bridge_that_counted(
    start_bridge: StartBridge, promtool: Path
) -> None:
    bridge = start_bridge()
    bridge.send(agent_session(time.time_ns()))
    counted = 'aibridge_outcome="error"'
    page = eventually(lambda: _page_with(bridge, counted))

    checked = check_metrics(promtool, page)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def _page_with(bridge: Bridge, text: str) -> str:
    page = bridge.metrics_page()
    assert text in page, f"{text} is not shown yet"
    return page
