"""The reader of queries refuses what Prometheus would answer with no data and no error."""

from __future__ import annotations

import pytest

from tests.dashboards.promql import Labels, labels_of
from tests.dashboards.told import known

_SERIES = {
    "up": frozenset({"job"}),
    "cost_total": frozenset({"job", "model"}),
    "spent": frozenset({"job", "model"}),
    "took_bucket": frozenset({"job", "le"}),
}


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("cost_total", {"job", "model"}),
        ("sum(rate(cost_total[$__rate_interval]))", set()),
        ("sum by (model) (increase(cost_total[$__range]))", {"model"}),
        ("topk(3, cost_total) * 3600", {"job", "model"}),
        ("1 - sum by (job) (cost_total) / up", {"job"}),
        ("spent + on (job) group_left () up", {"job", "model"}),
        ("spent / on (job) up", {"job"}),
        ("spent and on (job) up", {"job", "model"}),
        ("sum(up) or sum by (job) (up)", {"job"}),
        ('label_replace(sum(up), "model", "none", "", "")', {"model"}),
        ("histogram_quantile(0.9, took_bucket)", {"job"}),
        ("absent(up)", set()),
        ("max_over_time(sum by (job) (up)[1h:1m])", {"job"}),
    ],
)
def test_the_labels_of_a_query_are_those_of_its_series(query: str, labels: set[str]) -> None:
    assert labels_of(query, _SERIES) == frozenset(labels)


@pytest.mark.parametrize("query", ["3600", "time() % 86400", "scalar(sum(up))"])
def test_a_number_has_no_series(query: str) -> None:
    assert labels_of(query, _SERIES) is None


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("costs_total", "nobody tells costs_total"),
        ('cost_total{client="x"}', "cost_total has no label {'client'}"),
        ("sum by (client) (cost_total)", "no label {'client'}"),
        ("sum without (model) (cost_total)", "say what is kept"),
        ("cost_total / up", "the labels {'model'} are not on both sides"),
        ("spent + on (model) up", "not both have {'model'}"),
        ("spent / ignoring (model) up", "say on which labels"),
        ("histogram_quantile(0.9, up)", "no le"),
    ],
)
def test_a_query_that_can_find_nothing_is_refused(query: str, problem: str) -> None:
    with pytest.raises(AssertionError) as raised:
        labels_of(query, _SERIES)

    assert problem in str(raised.value)


def test_what_is_no_promql_is_refused() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        labels_of("sum(up", _SERIES)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("aibridge_budget_utilization_ratio", {"user_id", "aibridge_budget_period"}),
        ("otelbridge_records_told_total", set()),
        (
            "gen_ai_client_operation_duration_seconds_bucket",
            {
                "gen_ai_operation_name",
                "gen_ai_provider_name",
                "gen_ai_request_model",
                "error_type",
                "le",
            },
        ),
        ("job:aibridge_interceptions_failed:ratio15m", {"gen_ai_provider_name"}),
    ],
)
def test_what_is_told_has_the_names_and_labels_of_the_page(name: str, labels: set[str]) -> None:
    told: Labels = known()[name]

    assert told - {"job", "instance"} == labels
