from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otelbridge.delivery.prometheus import MAX_SCRAPERS, NEWCOMER_NS, Exposition
from otelbridge.delivery.prometheus_names import family_name
from otelbridge.domain.ledger import Distribution, Series
from otelbridge.telemetry.instruments import INSTRUMENTS as ALL_INSTRUMENTS
from tests.delivery.fakes import RESOURCE, FakeTime
from tests.delivery.instruments import (
    BORN_NS,
    GREP,
    INSTRUMENTS,
    LEDGER,
    OBSERVED,
)

if TYPE_CHECKING:
    from otelbridge.domain.ledger import SeriesKey

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
SCRAPER = ("10.0.0.1", "Prometheus/3.15.0")
GREP_TOTAL = 'test_calls_total{tool_name="grep"}'


def exposition(time: FakeTime | None = None) -> Exposition:
    clock = time or FakeTime()
    return Exposition(INSTRUMENTS, resource=RESOURCE.attributes, now_ns=clock.now_ns)


def page(
    shown: Exposition, scraper: tuple[str, str] | None = None, accept: str = ""
) -> dict[str, float]:
    """Return the samples of a page, by how they are written."""
    body, _ = shown.render(LEDGER, OBSERVED, accept=accept, scraper=scraper)
    lines = (line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def test_the_text_format_is_answered_by_default() -> None:
    body, content_type = exposition().render(LEDGER, OBSERVED, accept="*/*", scraper=None)

    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert body.decode() == TEXT


TEXT = """\
# HELP target_info Attributes of the resource.
# TYPE target_info gauge
target_info{service_instance_id="instance-1",service_name="otelbridge",service_version="1.2.3"} 1.0
# HELP test_calls_total Calls.
# TYPE test_calls_total counter
test_calls_total{tool_name="grep"} 5.0
test_calls_total{error_type="timeout",tool_name="grep"} 2.0
# HELP test_cost_total Cost.
# TYPE test_cost_total counter
test_cost_total 0.123456789
# HELP test_duration_seconds How long it took.
# TYPE test_duration_seconds histogram
test_duration_seconds_bucket{le="0.5",tool_name="grep"} 1.0
test_duration_seconds_bucket{le="1.0",tool_name="grep"} 3.0
test_duration_seconds_bucket{le="+Inf",tool_name="grep"} 4.0
test_duration_seconds_count{tool_name="grep"} 4.0
test_duration_seconds_sum{tool_name="grep"} 4.25
# HELP test_active Calls under way.
# TYPE test_active gauge
test_active 3.0
# HELP test_size_bytes How large it is.
# TYPE test_size_bytes gauge
test_size_bytes 2.5
"""


def test_openmetrics_has_births_units_and_exemplars() -> None:
    body, content_type = exposition().render(LEDGER, OBSERVED, accept=OPENMETRICS, scraper=None)

    text = body.decode()
    exemplar = '{span_id="0001020304050607",trace_id="000102030405060708090a0b0c0d0e0f"} 0.75'
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert 'test_calls_created{tool_name="grep"} 1.69999999e+09' in text
    assert "# UNIT test_duration_seconds seconds" in text
    assert f'le="1.0",tool_name="grep"}} 3.0 # {exemplar} 1699999990.0' in text
    assert "UNIT test_cost" not in text
    assert text.endswith("# EOF\n")
    assert list(parse_openmetrics(text))  # type: ignore[no-untyped-call]  # has no types


def test_every_instrument_is_declared_before_it_has_a_series() -> None:
    body, _ = exposition().render({}, [], accept="", scraper=None)

    declared = {family.name for family in parse_text(body.decode())}
    assert declared == {"target_info", *(family_name(each) for each in INSTRUMENTS.values())}


def test_a_unit_is_told_only_where_the_name_ends_with_it() -> None:
    shown = Exposition(ALL_INSTRUMENTS, resource={})

    body, _ = shown.render({}, [], accept=OPENMETRICS, scraper=None)

    units = [line.split() for line in body.decode().splitlines() if line.startswith("# UNIT")]
    assert units
    assert all(name.endswith(f"_{unit}") for _, _, name, unit in units)


def test_a_new_series_shows_0_in_the_first_scrape_of_every_scraper() -> None:
    shown = exposition()
    other = ("10.0.0.2", SCRAPER[1])

    first, second, others = page(shown, SCRAPER), page(shown, SCRAPER), page(shown, other)

    assert (first[GREP_TOTAL], second[GREP_TOTAL], others[GREP_TOTAL]) == (0, 5, 0)
    bucket = 'test_duration_seconds_bucket{le="+Inf",tool_name="grep"}'
    assert (first[bucket], second[bucket]) == (0, 4)
    assert first["test_active"] == 3


def test_who_is_no_scraper_sees_the_truth_and_takes_it_from_nobody() -> None:
    shown = exposition()

    assert page(shown)[GREP_TOTAL] == 5
    assert page(shown, SCRAPER)[GREP_TOTAL] == 0


def test_what_was_there_when_the_process_started_is_known_to_every_scraper() -> None:
    shown = Exposition(INSTRUMENTS, resource={}, known=[GREP], now_ns=FakeTime().now_ns)

    assert page(shown, SCRAPER)[GREP_TOTAL] == 5
    assert page(shown, SCRAPER)["test_cost_total"] == 0.123456789


def test_a_scraper_with_a_new_version_sees_no_counter_reset() -> None:
    time = FakeTime()
    shown = exposition(time)
    page(shown, SCRAPER)
    time.now_s = NEWCOMER_NS / 1e9

    upgraded = page(shown, (SCRAPER[0], "Prometheus/3.16.0"))

    assert upgraded[GREP_TOTAL] == 5


def test_the_scraper_that_was_away_longest_is_forgotten_first() -> None:
    shown = exposition()
    scrapers = [(f"10.0.0.{number}", "x") for number in range(MAX_SCRAPERS)]
    for scraper in scrapers:
        page(shown, scraper)
    page(shown, scrapers[0])

    page(shown, SCRAPER)

    assert page(shown, scrapers[0])[GREP_TOTAL] == 5
    assert page(shown, scrapers[1])[GREP_TOTAL] == 0


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_label_values_are_escaped(accept: str) -> None:
    ledger: dict[SeriesKey, Series] = {("test.calls", ('a"\\\nb', "")): Series(BORN_NS, 1)}

    body, _ = exposition().render(ledger, [], accept=accept, scraper=None)

    assert b'tool_name="a\\"\\\\\\nb"' in body


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_page_of_all_our_instruments() -> None:
    ledger = {
        (each.name, ("x",) * len(each.attributes)): Series(
            BORN_NS, Distribution((1,) * (len(each.bounds) + 1), 1.0) if each.bounds else 1
        )
        for each in ALL_INSTRUMENTS.values()
    }
    shown = Exposition(ALL_INSTRUMENTS, resource=RESOURCE.attributes)
    body, _ = shown.render(ledger, [], accept="", scraper=None)

    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=body, capture_output=True, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
