"""Every query of every panel is asked of real Prometheus, and its answers are what was sent."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.dashboards.panels import FOLDER, Asked, dashboards, labels_in, queries
from tests.dashboards.told import RULES, known
from tests.interop.bridge import Bridge
from tests.interop.collector import destinations
from tests.interop.conftest import peer
from tests.interop.dashboards_prometheus import Watcher, start_receiving, start_scraping, values
from tests.interop.dashboards_workload import STORE, UNPRICED, Workload, ledger, tokens
from tests.interop.programs import eventually, free_ports
from tests.interop.sent import Tokens, Tool
from tests.store.files import ALICE, BOB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.interop.collector import Collector

pytestmark = pytest.mark.interop

#: How Prometheus gets the metrics; the same dashboards serve both.
WAYS = ("scraped", "otlp")
_QUERIES = {asked.name: asked for asked in queries()}
_ONE_WAY = {"up", "target_info"}
# It goes on the [metrics] table, the last one of the bridge's settings.
_SETTINGS = """\
user_label = true
[[destination]]
name = "prometheus"
protocol = "http/protobuf"
endpoint = "http://127.0.0.1:{port}/api/v1/otlp"
signals = ["metrics"]
"""


@dataclass(frozen=True, kw_only=True)
class World:
    """A bridge that agents have worked with, and who watched.

    Attributes:
        folder: Where the bridge's files are.
        workload: What was sent.
        watchers: A Prometheus for each of `WAYS`.
    """

    folder: Path
    workload: Workload
    watchers: dict[str, Watcher]

    def ask(self, way: str, name: str, **chosen: str) -> dict[str, float]:
        """Return the values of a panel's query by the labels of its legend."""
        asked = _QUERIES[name]
        watcher = self.watchers[way]
        found = watcher.at(watcher.now(), filled(asked, chosen))
        return values(found, *sorted(labels_in(asked.legend)))

    def number(self, way: str, name: str, **chosen: str) -> float:
        """Return the one value of a panel's query."""
        (value,) = self.ask(way, name, **chosen).values()
        return value


def filled(asked: Asked, chosen: dict[str, str]) -> str:
    """Return a query as Grafana sends it, with All chosen where nothing else is said."""
    windows = {"__rate_interval": "10m", "__range": "10m", "job": "otelbridge"}

    def value(variable: re.Match[str]) -> str:
        return (windows | chosen).get(variable[1], ".*")

    return re.sub(r"\$(\w+)", value, asked.expr)


@pytest.fixture(scope="module")
def world(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    scraping, receiving = peer("prometheus"), peer("prometheus3")
    (port,) = free_ports(1)
    folders = {name: tmp_path_factory.mktemp(name) for name in ("bridge", *WAYS)}
    otlp = start_receiving(receiving, folders["otlp"], rules=RULES, port=port)
    bridge = Bridge(
        folders["bridge"],
        destinations=destinations(collector, "traces", "logs"),
        store=STORE,
        settings=_SETTINGS.format(port=port),
    )
    scraped = start_scraping(
        scraping, folders["scraped"], rules=RULES, target_port=bridge.http_port
    )
    watchers = {"scraped": scraped, "otlp": otlp}
    for watcher in watchers.values():
        eventually(watcher.now)
    workload = Workload(time.time_ns())
    bridge.send(workload.records)
    for watcher in watchers.values():
        eventually(partial(_check_all_is_told, watcher, workload))
    yield World(folder=folders["bridge"], workload=workload, watchers=watchers)
    assert bridge.stop() == 0
    for watcher in watchers.values():
        watcher.stop()


def _check_all_is_told(watcher: Watcher, workload: Workload) -> None:
    told = watcher.value("sum(aibridge_interceptions_total)")
    delivered = watcher.value(
        'sum(otelbridge_delivery_delivered_total{otelbridge_signal="traces"})'
    )
    projected = watcher.value("count(user:aibridge_budget_projected:ratio)")
    assert told == len(workload.sent)
    assert delivered, "nothing is delivered yet"
    assert projected == 2
    # The moment of the last word must be one of after all that.
    assert watcher.at(watcher.now(), "sum(aibridge_interceptions_total)")[0]["value"][1] == str(
        len(workload.sent)
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", _QUERIES)
def test_a_query_returns_numbers(world: World, way: str, name: str) -> None:
    assert world.ask(way, name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda each: each["uid"])
def test_the_values_of_a_variable_can_be_chosen(
    world: World, way: str, dashboard: dict[str, dict[str, list[dict[str, str]]]]
) -> None:
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            assert found
            query = re.sub(r"\$\w+", ".*", found[1])
            series = world.watchers[way].at(world.watchers[way].now(), query)
            assert any(each["metric"].get(found[2]) for each in series), variable["name"]


def _cost(world: World, by: str) -> dict[str, float]:
    rows = ledger(world.folder, by)
    return {row[by]: row["cost_usd"] for row in rows if row["cost_usd"]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("panel", "by"),
    [
        ("Spend by model", "model"),
        ("Spend by provider", "provider"),
        ("Spend by client", "client"),
        ("Spend by user", "user"),
    ],
)
def test_spend_is_what_the_ledger_says(world: World, way: str, panel: str, by: str) -> None:
    expected = _cost(world, by)

    shown = world.ask(way, f"usage: {panel} A")

    assert len(expected) == 2
    assert {key: value for key, value in shown.items() if value} == pytest.approx(expected)


@pytest.mark.parametrize("way", WAYS)
def test_the_sums_of_spend_agree(world: World, way: str) -> None:
    expected = sum(_cost(world, "user").values())

    assert expected > 0
    assert world.number(way, "usage: Spend A") == pytest.approx(expected)
    assert world.number(way, "usage: Spend, last 24 hours A") == pytest.approx(expected)
    assert world.number(way, "usage: Projection, 30 days A") == pytest.approx(30 * expected)
    assert world.number(way, "usage: Spend an hour A") == pytest.approx(6 * expected)
    components = world.ask(way, "usage: Spend an hour by component A")
    assert sum(components.values()) == pytest.approx(6 * expected)


@pytest.mark.parametrize("way", WAYS)
def test_a_chosen_provider_is_the_only_one_that_counts(world: World, way: str) -> None:
    expected = _cost(world, "provider")["openai"]

    shown = world.number(way, "usage: Spend A", provider="openai")

    assert shown == pytest.approx(expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("panel", "by"), [("model", "model"), ("provider", "provider"), ("user", "initiator_id")]
)
def test_tokens_are_what_was_sent(world: World, way: str, panel: str, by: str) -> None:
    shown = world.ask(way, f"usage: Tokens by {panel} A")

    assert shown == pytest.approx(world.workload.total(tokens, by))


@pytest.mark.parametrize("way", WAYS)
def test_the_kinds_of_tokens_are_what_was_sent(world: World, way: str) -> None:
    sent = world.workload
    kinds = {
        "A": sent.total(lambda each: each.input_tokens),
        "B": sent.total(lambda each: each.output_tokens),
        "C": sent.total(lambda each: each.cache_read_tokens),
        "D": sent.total(lambda each: each.cache_write_tokens),
        "E": sent.total(lambda each: each.output_tokens / 4),
    }

    for letter, expected in kinds.items():
        shown = world.number(way, f"usage: Tokens a second by kind {letter}")
        assert shown * 600 == pytest.approx(expected[""])
    share = kinds["C"][""] / kinds["A"][""]
    assert world.number(way, "usage: Cache hits A") == pytest.approx(share)


@pytest.mark.parametrize("way", WAYS)
def test_budgets_are_what_is_spent_of_them(world: World, way: str) -> None:
    spent = _cost(world, "user")

    shown = world.ask(way, "usage: Budget used A")

    # By the labels of the legend in their order: the period and the user.
    assert shown == pytest.approx(
        {f"month {ALICE}": spent[ALICE] / 50, f"day {BOB}": spent[BOB] / 0.1}
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_budget_burns_faster_than_it_is_spent(world: World, way: str) -> None:
    used = world.ask(way, "usage: Budget used A")

    def check() -> None:  # a rule is evaluated a moment after what it is made of
        burning = world.ask(way, "usage: Budget burn A")
        assert burning.keys() == used.keys()
        assert all(burning[key] > used[key] for key in used)

    eventually(check)


@pytest.mark.parametrize("way", WAYS)
def test_requests_and_failures_are_what_was_sent(world: World, way: str) -> None:
    sent = world.workload
    failed = sent.total(lambda each: each.outcome == "error")[""]
    clients = sent.total(lambda _: 1, "client")

    assert world.number(way, "agents: Requests A") == pytest.approx(len(sent.sent))
    share = failed / len(sent.sent)
    assert world.number(way, "agents: Failed requests A") == pytest.approx(share)
    if way == "scraped":  # by OTLP a gauge that has gone stays for five minutes, as it was
        assert world.number(way, "agents: Active now A") == 0
    assert world.ask(way, "usage: Requests by client A") == pytest.approx(clients)
    by_type = world.ask(way, "agents: Failures a second by type A")
    assert by_type["rate_limited"] * 600 == pytest.approx(failed)


@pytest.mark.parametrize("way", WAYS)
def test_tool_calls_are_what_was_sent(world: World, way: str) -> None:
    tools = world.workload.tools()
    failed = [tool for tool in tools if tool.HasField("invocation_error")]
    by_tool = {name: sum(t.tool == name for t in tools) for name in ("Read", "search_issues")}

    assert world.number(way, "agents: Tool calls A") == pytest.approx(len(tools))
    assert world.ask(way, "agents: Tool calls by tool A") == pytest.approx(by_tool)
    share = len(failed) / len(tools)
    assert failed
    assert world.number(way, "agents: Failed tool calls A") == pytest.approx(share)


def _host(tool: Tool) -> str:
    return str(urlsplit(tool.server_url).hostname)


@pytest.mark.parametrize("way", WAYS)
def test_tool_calls_at_mcp_servers_are_what_was_sent(world: World, way: str) -> None:
    ran = [tool for tool in world.workload.tools() if tool.injected]
    calls = Counter(_host(tool) for tool in ran)
    failed = Counter(_host(tool) for tool in ran if tool.HasField("invocation_error"))
    shares = {server: failed[server] / calls[server] for server in calls}

    assert world.ask(way, "agents: Tool calls by MCP server A") == pytest.approx(calls)
    assert world.ask(way, "agents: Failed tool calls by MCP server A") == pytest.approx(shares)
    assert sorted(shares) == ["mcp.example.com", "wiki.example.com"]
    assert min(shares.values()) == 0 < max(shares.values())
    share = failed.total() / calls.total()
    assert world.number(way, "agents: Failed MCP calls A") == pytest.approx(share)
    by_error = world.ask(way, "agents: Failed tool calls a second by MCP server A")
    errors = {key: value * 600 for key, value in by_error.items() if value}
    assert errors == pytest.approx({"timeout mcp.example.com": failed.total()})


@pytest.mark.parametrize("way", WAYS)
def test_threads_are_what_was_sent(world: World, way: str) -> None:
    sent = world.workload
    begun = sent.total(sent.begun, "client")
    requests = sent.total(lambda _: 1, "client")
    a_thread = {client: requests[client] / begun[client] for client in begun}
    all_begun = sum(begun.values())

    assert len(set(a_thread.values())) == len(begun) == 2
    assert world.number(way, "agents: Threads begun A") == pytest.approx(all_begun)
    share = len(sent.sent) / all_begun
    assert world.number(way, "agents: Requests a thread A") == pytest.approx(share)
    assert world.ask(way, "agents: Threads begun by client A") == pytest.approx(begun)
    assert world.ask(way, "agents: Requests a thread by client A") == pytest.approx(a_thread)
    assert world.ask(way, "agents: Requests a thread over time A") == pytest.approx(a_thread)
    a_second = world.ask(way, "agents: Threads begun a second A")
    assert {key: value * 600 for key, value in a_second.items()} == pytest.approx(begun)


@pytest.mark.parametrize("way", WAYS)
def test_percentiles_lie_where_the_durations_do(world: World, way: str) -> None:
    durations = [(each.ended_ns - each.started_ns) / 1e9 for each in world.workload.sent]

    shown = [world.number(way, f"agents: Duration of requests {letter}") for letter in "ABC"]

    assert shown == sorted(shown)
    # A bucket's bounds are the double of each other.
    assert all(min(durations) / 2 <= each <= 2 * max(durations) for each in shown)


@pytest.mark.parametrize("way", WAYS)
def test_exemplars_of_the_durations_open_traces_that_were_sent(world: World, way: str) -> None:
    ours = {each.trace_id.hex() for each in world.workload.sent}
    query = filled(_QUERIES["agents: Duration of requests B"], {})

    found = {labels["trace_id"] for labels in world.watchers[way].exemplars(query)}

    assert found
    assert found <= ours


@pytest.mark.parametrize("way", WAYS)
def test_the_bridge_accounts_for_every_record(world: World, way: str) -> None:
    sent = world.workload
    unpriced = sum(len(each.of(Tokens)) for each in sent.sent if each.start.model == UNPRICED)
    covered = 1 - unpriced / sent.number(Tokens)

    assert world.number(way, "health: Bridges A") == 1
    assert world.number(way, "health: Records unaccounted for A") == 0
    assert world.number(way, "health: The books A") == len(sent.records)
    assert world.number(way, "health: The books B") == len(sent.records)
    assert world.number(way, "health: Price coverage A") == pytest.approx(covered)


def test_both_ways_have_the_same_series(world: World) -> None:
    """But for `up`, which only a scrape has, and what ended just now: a scrape notices at once."""
    found, told = {}, known()
    for way, watcher in world.watchers.items():
        series = watcher.at(watcher.now(), '{job="otelbridge"}')
        names = {each["metric"]["__name__"] for each in series}
        found[way] = {
            (name, frozenset(each["metric"]) - {"__name__"})
            for each in series
            if (name := each["metric"]["__name__"]) in told and name not in _ONE_WAY
        }
        assert len(names) > 40

    assert found["scraped"] == found["otlp"]


def test_the_linter_of_grafana_finds_nothing(tmp_path: Path) -> None:
    linter = peer("dashboard-linter")
    for path in (*FOLDER.glob("*.json"), FOLDER / ".lint"):
        (tmp_path / path.name).write_text(path.read_text())

    for path in tmp_path.glob("*.json"):
        done = subprocess.run(
            [linter, "lint", "--strict", path],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stdout + done.stderr
