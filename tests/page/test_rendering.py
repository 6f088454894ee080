"""The page's HTML: what is shown, and that nobody's text becomes more than text."""

from __future__ import annotations

import re
from typing import Any

import pytest

from otelbridge.core.overview import ModelUsage, Overview
from otelbridge.domain.ledger import UsageTotals
from otelbridge.page.rates import Rates
from otelbridge.page.rendering import bars, render, trace_link
from otelbridge.page.view import (
    BudgetView,
    DestinationView,
    JournalView,
    Links,
    StoreView,
    View,
)
from otelbridge.store.holder import StoreHealth
from otelbridge.transports.gateway.sessions import Connected
from tests.page.views import Seen, brief, ns, tool, view
from tests.records import T0, uuid

_HOSTILE = "</td><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;{{7*7}}{% x %}"


def _everything(text: str) -> View:
    """Return a view in which everything that others write is this text."""
    started = brief(
        1,
        session=text,
        provider=text,
        model=text,
        client=text,
        error_type=text,
        tools=(tool(text), tool(text, injected=True, error_type=text)),
    )
    return view(
        status=text,
        overview=Overview(
            recent=[started],
            open=[brief(2, session="", model=text, client=text, outcome="open", cost=None)],
            models=[ModelUsage(text, text, UsageTotals(interceptions=1))],
        ),
        rates=Rates(bars=(1, 2)),
        destinations=[DestinationView("otlp", text, T0, 3.0, 5, 1)],
        gateways=[Connected(text, text, text, text, T0, 1, 2)],
        absent=[text],
        budgets=[BudgetView(text, "month", 5, 4, 1.25)],
        budget_count=1,
        links=Links(trace_url="http://jaeger/trace/{trace_id}", dashboard_url="http://grafana"),
    )


def test_a_hostile_text_changes_no_element_and_no_attribute() -> None:
    tame, hostile = Seen(render(_everything("tame"))), Seen(render(_everything(_HOSTILE)))

    assert hostile.shape == tame.shape
    assert hostile.links == tame.links


def test_a_hostile_text_is_shown_as_it_is_up_to_64_characters() -> None:
    page = Seen(render(_everything(_HOSTILE)))

    assert page.texts["models"].count(_HOSTILE[:64]) == 2


def test_what_cannot_be_printed_is_made_visible() -> None:
    page = render(_everything("a\x1b[31m\u202eb\x00\ud800"))

    assert r"a\x1b[31m\u202eb\x00\ud800" in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\ud800]", page)


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page = Seen(render(_everything("x")))

    names = {name for name, _ in page.attributes}
    assert not any(name.startswith("on") or name == "style" for name in names)
    assert ("style",) not in page.shape
    assert {link for link in page.links if "//" in link} == {
        "http://grafana",
        f"http://jaeger/trace/{uuid(1).hex}",
    }


def test_every_section_is_named_and_every_table_has_headers() -> None:
    page = render(_everything("x"))

    for labelled in re.findall(r'aria-labelledby="([^"]+)"', page):
        assert f'id="{labelled}"' in page
    assert page.count("<table") == page.count("<thead>")
    assert len(re.findall(r"<h1", page)) == 1
    assert '<html lang="en">' in page
    assert not re.findall(r"<th>", page)  # each has its scope


def test_ids_are_there_once() -> None:
    ids = [value for name, value in Seen(render(_everything("x"))).attributes if name == "id"]

    assert len(ids) == len(set(ids))


def test_an_interception_is_a_row_with_tokens_by_kind_cost_and_outcome() -> None:
    page = Seen(render(view(brief(1, took_s=2.5))))

    assert page.texts[f"i-{uuid(1).hex}"] == (
        "claude-sonnet-4-5 anthropic 100 in, 20 out, $0.0123 2.5 s 12:00:00"
        " 100 60 read 30 written 20 5 reasoning $0.0123 ok"
    )


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"outcome": "error", "error_type": "rate_limited"}, "rate_limited"),
        ({"outcome": "incomplete"}, "incomplete"),
        ({"outcome": "orphan"}, "orphan"),
        ({"outcome": "open", "cost": None}, "open"),
    ],
)
def test_an_outcome_is_said_in_words(fields: dict[str, Any], shown: str) -> None:
    page = Seen(render(view(brief(1, **fields))))

    assert page.texts[f"i-{uuid(1).hex}"].endswith(shown)


def test_what_has_no_price_costs_no_nothing() -> None:
    page = Seen(render(view(brief(1, cost=None, is_unpriced=True))))

    assert "no price ok" in page.texts[f"i-{uuid(1).hex}"]


def test_tools_are_named_whoever_ran_them() -> None:
    ran = tool("create_issue", injected=True, error_type="timeout")
    page = Seen(render(view(brief(1, tools=(tool("Read"), tool("Read"), ran)))))

    assert "asked for Read \u00d72" in page.texts["recent"]
    assert "create_issue run by the gateway 12:00:01 timeout" in page.texts["recent"]


def test_a_trace_is_linked_by_its_interception_or_its_thread() -> None:
    each = brief(2, root_id=uuid(1))
    url = "http://jaeger/trace/{trace_id}?x=1"

    assert trace_link(Links(trace_url=url), each) == f"http://jaeger/trace/{uuid(2).hex}?x=1"
    assert uuid(1).hex in trace_link(Links(trace_url=url, by_thread=True), each)
    assert trace_link(Links(), each) == ""
    assert trace_link(Links(trace_url=url), brief(2, outcome="open")) == ""


def test_metrics_that_a_browser_cannot_read_are_not_linked() -> None:
    assert "metrics" in Seen(render(view())).links
    assert "metrics" not in Seen(render(view(links=Links(asks_token=True)))).links


def test_totals_are_exact_in_the_markup_whatever_is_written() -> None:
    total = UsageTotals(
        interceptions=12, input_tokens=123_456_789, output_tokens=7, cost_nanos=1_234_567_891
    )
    models = [ModelUsage("anthropic", "claude", total)]

    page = Seen(render(view(overview=Overview(models=models, total=total))))

    assert page.values["today-input"] == [123_456_789]
    assert page.texts["today-input"] == "123.5 M"
    assert page.values["today-cost"] == [1_234_567_891]
    assert page.texts["today-cost"] == "$1.23"


def test_an_empty_bridge_says_what_is_missing() -> None:
    page = Seen(render(view()))

    assert "Nothing yet" in page.texts["recent"]
    assert "None: nothing is exported" in page.texts["destinations"]
    assert "limits nobody" in page.texts["budgets"]
    assert "No gateway has a key" in page.texts["gateways"]
    assert ("section", "id", "class", "aria-labelledby", "hidden") in page.shape


def test_what_is_wrong_stands_at_the_top_and_in_the_title() -> None:
    broken = view(
        status="the journal cannot commit",
        overview=Overview(total=UsageTotals(unpriced=2)),
        destinations=[DestinationView("otlp", "traces: unavailable: no", ns(3), 9, 10, 2)],
        budgets=[BudgetView("alice", "day", 2, 2, 1.0), BudgetView("bob", "day", 1, 2, 0.5)],
        budget_count=2,
        store=StoreView(StoreHealth(1, 60.0), wrong_since_ns=T0),
        journal=JournalView(disk_is_full=True, unread=1200),
    )

    page = render(broken)

    assert "<title>(8) otelbridge</title>" in page
    told = Seen(page).texts["attention"]
    assert re.findall(r"Calls are refused|disk is full|The store file is wrong since", told)
    assert "Destination otlp fails since 12:00:03 UTC: traces: unavailable: no" in told
    assert "otlp refused 2 items for good" in told
    assert "alice has spent the whole budget of the day" in told
    assert "bob" not in told
    assert "2 token records of today without a price" in told
    assert "About 1,200 records" in told


def test_a_chart_s_newest_bar_is_at_the_right_end_and_the_highest_fills_it() -> None:
    drawn = bars([0, 1, 0, 600])

    assert [(bar.x, bar.y, bar.height) for bar in drawn] == [(870, 59, 1), (890, 0, 60)]
    assert bars([0, 0]) == []
