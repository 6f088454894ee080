"""The page in a real browser: live, safe, and of use to everybody."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.interop.bridge import Bridge, Destination
from tests.interop.chromium import Chromium, Tab
from tests.interop.conftest import peer
from tests.interop.programs import free_ports
from tests.interop.session import Turn, agent_session
from tests.store.files import GATEWAY, PEOPLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.sent import Record

pytestmark = pytest.mark.interop

_SETTINGS = """\
[page]
trace_url = "http://jaeger.example:16686/trace/{trace_id}"
dashboard_url = "http://grafana.example:3000/"
"""
_BUDGET = '[[budget]]\nuser = "*"\nlimit_usd = "0.01"\nperiod = "month"\n'
_HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>{{7*7}}"
_WIDTHS = (360, 800, 1400)
#: Where pictures are put for people to look at; nowhere by default.
_PICTURES = os.environ.get("OTELBRIDGE_PICTURES")

# Texts whose contrast with what is behind them is under 4.5:1 (WCAG 2.2, 1.4.3).
_PALE = """
(() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = parts(text).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(node).backgroundColor);
      if (a > 0) return `rgb(${r},${g},${b})`;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(0,0,0)" : "rgb(255,255,255)";
  };
  return [...document.body.querySelectorAll("*")]
    .filter((node) => node.checkVisibility() && !node.closest("svg"))
    .filter((node) => [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((node) => {
      const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.textContent.trim()];
    })
    .filter(([contrast]) => contrast < 4.5)
    .map(([contrast, text]) => `${contrast.toFixed(2)} ${text.slice(0, 40)}`);
})()
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Run a browser."""
    started = Chromium(peer("chromium"), tmp_path_factory.mktemp("chromium"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """Run a bridge to which something of everything has come; its destination is down."""
    (nobody,) = free_ports(1)
    down = Destination(name="down", protocol="grpc", port=nobody, signals=["traces"])
    started = Bridge(
        tmp_path_factory.mktemp("page"),
        destinations=[down],
        store=GATEWAY + PEOPLE + _BUDGET,
        settings=_SETTINGS,
    )
    started.send(agent_session(time.time_ns()))
    started.send(_hostile())
    yield started
    assert started.stop() == 0, started.output


def _hostile() -> list[Record]:
    """Return an interception in which everything that can be named is named for harm."""
    turn = Turn(time.time_ns(), initiator_id=str(uuid4()))
    turn.start.model = turn.start.client = turn.start.client_session_id = _HOSTILE
    tool, injected = turn.tool(5, "x"), turn.injected_tool(6, "y", error=_HOSTILE)
    tool.tool = injected.tool = _HOSTILE
    return [turn.start, tool, injected, turn.tokens(8, counted=(5, 6)), turn.end(9, _HOSTILE)]


def _url(bridge: Bridge) -> str:
    return f"http://127.0.0.1:{bridge.http_port}/"


def _turn() -> Turn:
    return Turn(time.time_ns(), initiator_id=str(uuid4()))


def _row(turn: Turn) -> str:
    return f"document.getElementById('i-{turn.id.replace('-', '')}')"


@pytest.fixture
def tab(chromium: Chromium, bridge: Bridge) -> Iterator[Tab]:
    """Open the page; at the end nobody has complained, and nothing came from elsewhere."""
    with chromium.tab() as opened:
        opened.open(_url(bridge))
        opened.await_true("document.querySelectorAll('tr[id] a').length >= 4")  # all are told
        yield opened
        assert opened.complaints == []
        assert {url for url in opened.requests if not url.startswith(_url(bridge))} == set()


def test_it_shows_what_arrives_without_being_loaded_again(tab: Tab, bridge: Bridge) -> None:
    turn = _turn()
    tab.evaluate("window.stays = true")

    bridge.send([turn.start, turn.tool(5, "Grep")])
    tab.await_true(f"{_row(turn)}?.innerText.includes('open')")
    tab.evaluate(f"window.row = {_row(turn)}")
    bridge.send([turn.tokens(8, counted=(5, 6)), turn.end(1500)])
    tab.await_true(f"{_row(turn)}.innerText.includes('1.5 s')")

    assert tab.evaluate(f"window.stays && window.row === {_row(turn)}")
    assert "ok" in tab.evaluate(f"{_row(turn)}.innerText")


def test_what_has_the_focus_keeps_it_while_rows_come(tab: Tab, bridge: Bridge) -> None:
    turn = _turn()
    tab.evaluate("window.link = document.querySelector('tr[id] a'); window.link.focus()")

    bridge.send([turn.start])
    tab.await_true(_row(turn) + " !== null")

    assert tab.evaluate("document.activeElement === window.link && window.link.isConnected")


def test_a_hostile_name_is_text(tab: Tab) -> None:
    assert _HOSTILE[:64] in tab.evaluate("document.querySelector('main').textContent")
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.querySelectorAll('img, iframe, object, embed').length") == 0
    assert tab.evaluate("document.scripts.length") == 1
    assert tab.evaluate("document.querySelectorAll('[onerror], [style]').length") == 0


def test_a_hostile_name_is_text_when_it_comes_later(tab: Tab, bridge: Bridge) -> None:
    count = "document.body.textContent.split('<img src=x').length"
    before = tab.evaluate(count)

    bridge.send(_hostile())
    tab.await_true(f"{count} > {before}")

    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.querySelectorAll('img').length") == 0


def test_the_policy_lets_nothing_inline_run(chromium: Chromium, bridge: Bridge) -> None:
    with chromium.tab() as tab:
        tab.open(_url(bridge))
        for attempt in (
            "document.body.innerHTML = '<b>x</b>'",
            "document.body.setAttribute('onclick', 'window.hacked = 1')",
            "document.createElement('script').text = 'window.hacked = 1'",
        ):
            assert tab.evaluate(f"try {{ {attempt}; false }} catch {{ true }}") is True, attempt
        tab.evaluate("fetch('http://127.0.0.1:9/').catch(() => { window.refused = true }); 0")
        tab.await_true("window.refused")
        tab.await_event("Log.entryAdded")

        assert any("connect-src" in each for each in tab.complaints), tab.complaints
        assert "http://127.0.0.1:9/" not in tab.requests


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", _WIDTHS)
def test_it_fits_and_can_be_read(tab: Tab, width: int, scheme: str) -> None:
    tab.resize(width, scheme=scheme)

    assert tab.evaluate("document.documentElement.scrollWidth") == width
    wide = "[...document.querySelectorAll('.card')].filter((c) => c.scrollWidth > c.clientWidth)"
    assert tab.evaluate(f"{wide}.map((c) => c.id)") == []
    assert tab.evaluate(_PALE) == []
    if _PICTURES:
        (Path(_PICTURES) / f"page-{width}-{scheme}.png").write_bytes(tab.screenshot())


def test_without_javascript_it_is_a_table(chromium: Chromium, bridge: Bridge) -> None:
    with chromium.tab(scripts=False) as tab:
        tab.open(_url(bridge))
        page = tab.html()

        assert "claude-sonnet-4-5-20250929" in page
        assert page.count('<tr id="i-') >= 4
        assert 'id="live" data-keep="" hidden=""' in page
        assert "load it again for what is new" in page
        assert tab.complaints == []
        assert not [url for url in tab.requests if url.endswith(("#", "./"))]


def test_a_keyboard_reaches_everything_and_shows_where_it_is(tab: Tab) -> None:
    seen = []
    for _ in range(6):
        tab.press("Tab")
        seen.append(tab.evaluate("document.activeElement.textContent.trim()"))
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"

    assert seen[:5] == [
        "Skip to the recent interceptions",
        "Dashboards",
        "Metrics",
        "Readiness",
        "Pause",
    ]


def test_the_skip_link_leads_to_the_interceptions(tab: Tab) -> None:
    tab.press("Tab")
    tab.press("Enter")
    tab.await_true("document.activeElement.id === 'recent'")


def test_a_screen_reader_finds_landmarks_headings_and_tables(tab: Tab) -> None:
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    found = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    }

    roles = {role for role, _ in found}
    assert {"banner", "main", "navigation", "contentinfo", "status", "table", "row"} <= roles
    named = ["Arriving", "Recent interceptions", "Destinations", "Gateways", "Budgets"]
    assert {("region", name) for name in named} <= found
    assert {("heading", name) for name in named} <= found
    assert {"rowheader", "columnheader", "cell"} <= roles


def test_a_pause_holds_and_ends(tab: Tab, bridge: Bridge) -> None:
    turn = _turn()
    tab.evaluate("document.getElementById('pause').click()")
    tab.listen(0.5)  # what was asked for before
    tab.requests.clear()

    bridge.send([turn.start])
    tab.listen(2.5)
    assert tab.requests == []
    assert tab.evaluate("document.getElementById('live-state').textContent") == "Paused"

    tab.evaluate("document.getElementById('pause').click()")
    tab.await_true(_row(turn) + " !== null")


def test_a_tab_that_nobody_sees_asks_for_nothing(tab: Tab) -> None:
    hide = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    tab.evaluate(hide % "true" + tell)
    tab.listen(0.5)
    tab.requests.clear()

    tab.listen(2.5)
    assert tab.requests == []

    tab.evaluate(hide % "false" + tell)
    tab.await_event("Network.requestWillBeSent")


def test_who_wants_no_motion_gets_none(tab: Tab) -> None:
    moves = "getComputedStyle(document.querySelector('main')).transitionDuration"

    assert tab.evaluate(moves) != "0s"
    tab.resize(1400, motion="reduce")
    assert tab.evaluate(moves) == "0s"


def test_a_bridge_that_is_gone_is_said_and_so_is_its_return(
    chromium: Chromium, tmp_path: Path
) -> None:
    bridge = Bridge(tmp_path)
    state = "document.getElementById('live-state').textContent"
    with chromium.tab() as tab:
        tab.open(_url(bridge))
        tab.await_true(f"{state} === 'Live'")

        assert bridge.stop() == 0
        tab.await_true(f"{state}.startsWith('Not reached')")
        bridge.start()
        tab.await_true(f"{state} === 'Live'")
    assert bridge.stop() == 0
