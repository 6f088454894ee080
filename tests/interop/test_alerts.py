"""Alerts fire in real faults, with their times shortened, and end with the fault."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.failpoints.points import untellable
from tests.interop.alerting import Again, Alerts, fires
from tests.interop.conftest import peer
from tests.interop.dashboards_workload import STORE, UNPRICED, Workload, refused
from tests.interop.fragile import FragileCollector
from tests.interop.gateway import Gateway
from tests.interop.programs import eventually, free_ports
from tests.interop.troubles import (
    SmallDestination,
    break_the_protocol,
    damage_records,
    full_disk,
    large_request,
    refuser,
    request,
    try_to_record,
)
from tests.store.files import ALICE, BOB, GATEWAY, GATEWAY_KEY, PEOPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.bridge import Bridge

# Waits for a lag of 20 s, and for a window to pass after it.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

# At a dollar for a million of tokens.
_PRICED = "metered-model"
_PRICES = f"""
[[price]]
provider = "anthropic"
model = "{_PRICED}"
input_mtok = "1.00"
output_mtok = "1.00"
"""
_BUDGETS = f"""{GATEWAY}{PEOPLE}
[[budget]]
user = "alice"
limit_usd = "1.00"
period = "month"

[[budget]]
user = "bob"
limit_usd = "1.00"
period = "day"
"""
# The first ones are keys of [metrics].
_SPENDING = """\
user_label = true
limits = { "gen_ai.request.model" = 3 }
[prices]
overrides = "prices.toml"
"""
# In a month's last minute no budget burns for long enough: the next month's does.
_INTO_NEXT_MONTH_S = 110.0


@pytest.fixture
def alerts(tmp_path: Path) -> Iterator[Alerts]:
    """Return what starts a bridge and watches it."""
    with Alerts(peer("prometheus"), tmp_path) as watched:
        yield watched


@pytest.fixture
def fragile(tmp_path: Path) -> FragileCollector:
    """Return a collector that is not started yet."""
    folder = tmp_path / "collector"
    folder.mkdir()
    return FragileCollector(peer("otelcol"), folder)


@fires("OtelbridgeDestinationDown", "OtelbridgeDeliveryLagging")
def test_a_collector_that_stops_is_down_and_lags_until_it_is_back(
    alerts: Alerts, fragile: FragileCollector
) -> None:
    bridge = alerts.watch(*fragile.destinations, store=STORE)

    bridge.send(Workload(time.time_ns()).records)

    for name in ("OtelbridgeDestinationDown", "OtelbridgeDeliveryLagging"):
        for destination in ("by-grpc", "by-http"):
            alerts.await_firing(name, otelbridge_destination=destination)
    assert alerts.fired().keys() <= {*alerts.awaited, "OtelbridgeUnpricedUsage"}
    fragile.start()
    try:
        alerts.await_end("OtelbridgeDestinationDown", "OtelbridgeDeliveryLagging")
    finally:
        fragile.stop()


@fires("OtelbridgeStoreStale")
def test_a_store_that_is_broken_is_stale_until_it_is_right(alerts: Alerts) -> None:
    bridge = alerts.watch(store=STORE)

    bridge.write_store(STORE.replace("limit_usd", "limit_eur"))

    alerts.await_firing("OtelbridgeStoreStale", severity="warning")
    assert alerts.fired().keys() == {"OtelbridgeStoreStale"}
    bridge.write_store(STORE)
    alerts.await_end("OtelbridgeStoreStale")


@fires("OtelbridgeDown")
def test_a_bridge_that_is_killed_is_down_until_it_is_started(alerts: Alerts) -> None:
    bridge = alerts.watch(store=STORE)

    bridge.kill()

    alerts.await_firing("OtelbridgeDown", severity="critical", job="otelbridge")
    bridge.start()
    alerts.await_end("OtelbridgeDown")


@fires("OtelbridgeRecordsLost")
def test_what_a_damaged_journal_has_lost_is_told_after_the_start(alerts: Alerts) -> None:
    bridge = alerts.watch(store=STORE)
    bridge.send(request()[:-1])  # without an end it stays in the journal
    bridge.kill()

    lost = damage_records(alerts.bridge_folder)
    bridge.start()

    alerts.await_firing("OtelbridgeRecordsLost", otelbridge_reason="damaged")
    assert lost == 3
    assert alerts.watcher.value("sum(otelbridge_records_lost_total)") == 3


@fires("OtelbridgeDiskFull", "OtelbridgeRefusingRecords", "OtelbridgeCallsFailing")
def test_a_disk_without_space_is_full_and_refuses_records_until_it_has_some(
    alerts: Alerts,
) -> None:
    bridge = alerts.watch(store=STORE)
    start = request()[0]
    record = Again(partial(try_to_record, bridge, start), every_s=0.2)

    with full_disk(alerts.bridge_folder):
        alerts.await_firing("OtelbridgeDiskFull", again=record)
        alerts.await_firing("OtelbridgeRefusingRecords", again=record)
        assert try_to_record(bridge, start) is grpc.StatusCode.UNAVAILABLE

    alerts.await_end("OtelbridgeDiskFull", "OtelbridgeRefusingRecords")
    assert try_to_record(bridge, start) is grpc.StatusCode.OK
    # Counts are committed, too: those of the calls that failed come afterwards.
    alerts.await_firing("OtelbridgeCallsFailing", rpc_response_status_code="UNAVAILABLE")


@fires(
    "OtelbridgeGatewayGone",
    "OtelbridgeGatewayProtocolErrors",
    "OtelbridgeRecordsRefused",
    "OtelbridgeTellingFails",
)
def test_what_gateways_do_wrong_and_what_cannot_be_told_is_named(
    alerts: Alerts, gateway_peer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in untellable("untellable-model").items():
        monkeypatch.setenv(name, value)
    bridge = alerts.watch(store=STORE)
    with Gateway(gateway_peer, bridge.url, key=GATEWAY_KEY, folder=tmp_path) as gateway:
        gateway.await_event("connected")
        eventually(partial(_check_connected, alerts))
        assert gateway.close() == 0
    untold = Again(lambda: bridge.send(request(model="untellable-model")))
    again = _together(
        untold,
        Again(lambda: _send_nonsense(bridge)),
        Again(lambda: asyncio.run(break_the_protocol(bridge)), every_s=5.0),
    )

    alerts.await_firing("OtelbridgeRecordsRefused", again=again, otelbridge_record_kind="tokens")
    alerts.await_firing("OtelbridgeGatewayProtocolErrors", again=again, otelbridge_gateway="eu-1")
    # The gateway that breaks the protocol is the same one, and is connected for a moment.
    alerts.await_firing("OtelbridgeTellingFails", again=untold)
    alerts.await_firing("OtelbridgeGatewayGone", otelbridge_gateway="eu-1")
    assert alerts.watcher.value("sum(aibridge_interceptions_total)") is None


def _together(*causes: Callable[[], object]) -> Callable[[], None]:
    def cause_all() -> None:
        for cause in causes:
            cause()

    return cause_all


def _check_connected(alerts: Alerts) -> None:
    # As the rule looks back: between two of its steps nothing is seen.
    seen = alerts.watcher.value("max_over_time(sum(otelbridge_gateway_sessions)[120s:2s])")
    assert seen == 1


def _send_nonsense(bridge: Bridge) -> None:
    """Send a record of an interception that has no id."""
    assert try_to_record(bridge, b"\x0a\x03abc") is grpc.StatusCode.INVALID_ARGUMENT


@fires("OtelbridgeDeadLetters", "OtelbridgeTelemetryLost", "OtelbridgeJournalFilling")
def test_what_destinations_refuse_and_what_is_too_much_for_them_is_told(alerts: Alerts) -> None:
    (port,) = free_ports(1)
    dead = SmallDestination(name="dead", protocol="grpc", port=port, signals=["traces"])
    with refuser() as strict:
        bridge = alerts.watch(strict, dead, store=STORE)
        for _ in range(40):
            bridge.send(large_request())
        again = Again(lambda: bridge.send(large_request()))

        for name in ("OtelbridgeTelemetryLost", "OtelbridgeJournalFilling"):
            alerts.await_firing(name, again=again, otelbridge_destination="dead")
        alerts.await_firing("OtelbridgeDeadLetters", otelbridge_destination="strict")


@fires(
    "OtelbridgeErrorRate",
    "OtelbridgeUnpricedUsage",
    "OtelbridgeBudgetSpent",
    "OtelbridgeBudgetBurn",
    "OtelbridgeLabelOverflow",
)
def test_what_users_spend_and_what_providers_refuse_is_told(alerts: Alerts) -> None:
    (alerts.bridge_folder / "prices.toml").write_text(_PRICES)
    bridge = alerts.watch(store=_BUDGETS, settings=_SPENDING)

    names = map("model-{}".format, count())
    burn = Again(partial(_burn, alerts, bridge), every_s=10.0)
    again = _together(
        burn,
        Again(lambda: bridge.send(request(user=BOB, model=_PRICED, tokens=2_000_000))),
        Again(lambda: bridge.send(request(model=UNPRICED))),
        Again(lambda: bridge.send(request(model=next(names)))),
        Again(lambda: bridge.send(refused(time.time_ns(), count=30)), every_s=5.0),
    )

    alerts.await_firing("OtelbridgeBudgetSpent", again=again, user_id=BOB)
    alerts.await_firing(
        "OtelbridgeLabelOverflow", again=again, otelbridge_label="gen_ai.request.model"
    )
    alerts.await_firing("OtelbridgeErrorRate", again=again, gen_ai_provider_name="mistral_ai")
    alerts.await_firing("OtelbridgeUnpricedUsage", again=again, gen_ai_request_model=UNPRICED)
    alerts.await_firing(
        "OtelbridgeBudgetBurn", again=burn, timeout_s=_INTO_NEXT_MONTH_S, user_id=ALICE
    )


def _burn(alerts: Alerts, bridge: Bridge) -> None:
    """Spend nine tenths of a month's budget, unless that has been done in this month.

    At the rate of the last "hour", which is two minutes, the rest is spent in 14 s.
    """
    used = alerts.watcher.value(f'aibridge_budget_utilization_ratio{{user_id="{ALICE}"}}')
    if (used or 0.0) < 0.5:
        bridge.send(request(model=_PRICED, tokens=900_000))
