"""The page of a whole bridge: what was sent is what it shows."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from otelbridge.transports.capture import read_capture
from otelbridge.transports.client import send_calls
from otelbridge.transports.fresh import freshened
from otelbridge.transports.grpc_caller import GrpcCaller
from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import Bridge, connected, running
from tests.page.views import Seen
from tests.store.files import ALICE, GATEWAY, PEOPLE, write_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CAPTURES = Path(__file__).parents[1] / "captures"
# Loading the system's authorities takes longer than a page.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_BUDGET = '[[budget]]\nuser = "alice"\nlimit_usd = "0.10"\nperiod = "day"\n'
_TRACES = "http://jaeger:16686/trace/{trace_id}"
_SETTINGS: dict[str, Any] = {"page": {"trace_url": _TRACES, "dashboard_url": "http://grafana/"}}


async def page_of(bridge: Bridge) -> Seen:
    """Return the page as it is now."""
    async with httpx2.AsyncClient(trust_env=False, verify=_NO_AUTHORITIES) as client:
        answer = await client.get(bridge.server.addresses["page"])
    assert answer.status_code == 200, answer.text
    return Seen(answer.text)


async def page_when(bridge: Bridge, holds: Callable[[Seen], bool]) -> Seen:
    """Return the page as soon as something holds of it; it is made once a second."""
    async with asyncio.timeout(15):
        while not holds(seen := await page_of(bridge)):  # noqa: ASYNC110  # as a browser asks
            await asyncio.sleep(0.05)
    return seen


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[Bridge]:
    """Run a bridge with a gateway, two people and a budget in its store."""
    write_store(tmp_path, GATEWAY + PEOPLE + _BUDGET)
    async with Collector() as collector, running(tmp_path, collector, _SETTINGS) as started:
        yield started


def _now() -> int:
    return gw.now().ToNanoseconds()


async def test_its_sums_are_the_ledger_s(bridge: Bridge) -> None:
    calls = freshened(read_capture(CAPTURES / "injected-tools-paced.jsonl"), now_ns=_now())
    await send_calls(GrpcCaller(bridge.channel), calls, speed=None)

    seen = await page_when(bridge, lambda seen: seen.values["today-interceptions"] == [4])

    assert seen.values["today-input"] == [56_874]
    assert seen.values["today-output"] == [506]
    assert seen.values["open-now"] == [0]
    cost = await bridge.total("aibridge_cost_total")
    assert seen.values["today-cost"] == [round(cost * 10**9)]
    ids = [value for name, value in seen.attributes if name == "id"]
    starts = {call.interception.replace("-", "") for call in calls if call.is_start}
    assert {value[2:] for value in ids if value and value.startswith("i-")} == starts
    assert {link for link in seen.links if "jaeger" in link} == {
        _TRACES.format(trace_id=each) for each in starts
    }
    assert "search_issues run by the gateway" in seen.texts["recent"]


async def test_an_interception_is_there_with_the_reply_to_its_start(bridge: Bridge) -> None:
    start = gw.start(gw.fresh_id(), model="gpt-5", client_session_id="mine")
    await bridge.call("Recorder/RecordInterception", start)

    seen = await page_of(bridge)

    assert seen.values["open-now"] == [1]
    assert "Session mine" in seen.texts["recent"]
    assert seen.texts[f"i-{start.id.replace('-', '')}"].endswith("open")


async def test_it_knows_gateways_budgets_and_destinations(bridge: Bridge) -> None:
    one = gw.fresh_id()
    start = gw.start(one, initiator_id=ALICE, model="claude-sonnet-4-5")
    await bridge.call("Recorder/RecordInterception", start)
    await bridge.call("Recorder/RecordTokenUsage", gw.tokens(one, input_tokens=10_000))

    absent = await page_of(bridge)
    async with connected(bridge):
        present = await page_when(bridge, lambda seen: "eu-1 ipv4:" in seen.texts["gateways"])

    assert "eu-1 no" in absent.texts["gateways"]
    assert "since" in present.texts["gateways"]
    assert "alice $0.0300 $0.1000 a day 30 %" in present.texts["budgets"]
    assert present.texts["destinations"].startswith("Destinations Name Lag Waiting")
    assert "sink" in present.texts["destinations"]
    assert "users 2, keys 0" in present.texts["keeping"]
    assert "http://grafana/" in present.links


async def test_a_destination_that_fails_and_a_wrong_store_are_named(tmp_path: Path) -> None:
    write_store(tmp_path, GATEWAY)
    lost = {"destination": [{"name": "lost", "endpoint": "http://127.0.0.1:1"}]}
    async with Collector() as collector, running(tmp_path, collector, lost) as bridge:
        write_store(tmp_path, "nonsense")
        bridge.server.reload(asked_by="a test")
        one = gw.fresh_id()
        await bridge.call("Recorder/RecordInterception", gw.start(one))
        await bridge.call("Recorder/RecordInterceptionEnded", gw.end(one))

        said = ("Destination lost fails since", "The store file is wrong since")
        seen = await page_when(bridge, lambda seen: all(s in seen.texts["attention"] for s in said))

    assert "failing" in seen.texts["destinations"]


async def test_a_page_that_is_off_is_not_there(tmp_path: Path) -> None:
    settings = {"page": {"enabled": False}}
    async with Collector() as collector, running(tmp_path, collector, settings) as bridge:
        assert "page" not in bridge.server.addresses
        async with httpx2.AsyncClient(trust_env=False, verify=_NO_AUTHORITIES) as client:
            answer = await client.get(bridge.server.addresses["http"] + "/")

    assert answer.status_code == 404
