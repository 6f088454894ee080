"""A real collector is stopped, held still and short of memory, and in the end has everything."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.faults import fault
from tests.interop.collector import PROTOCOLS
from tests.interop.conftest import peer
from tests.interop.fragile import FragileCollector, loaded
from tests.interop.programs import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.interop.conftest import StartBridge
    from tests.interop.sent import Interception

pytestmark = pytest.mark.interop


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[FragileCollector]:
    collector = FragileCollector(peer("otelcol"), tmp_path)
    yield collector
    collector.program.kill()


def check(collector: FragileCollector, sent: Sequence[Interception]) -> None:
    """Wait until the collector has every interception over each protocol, and nothing else."""
    for protocol in PROTOCOLS:
        eventually(partial(_check_all, collector, protocol, sent), timeout_s=30)


def _check_all(collector: FragileCollector, protocol: str, sent: Sequence[Interception]) -> None:
    received = collector.spans(protocol)
    wanted = {each.chat_span_id for each in sent}
    assert received.keys() == wanted, f"{protocol}: {len(received)} of {len(wanted)} spans"
    assert {len(encodings) for encodings in received.values()} == {1}, "a repeat that differs"


@fault(1, 5, 12)
def test_a_collector_that_is_stopped_and_started_under_load_has_everything(
    fragile: FragileCollector, start_bridge: StartBridge
) -> None:
    bridge = start_bridge(*fragile.destinations)
    with loaded(bridge) as load:
        load.wait(1)
        fragile.start()
        load.wait(2)
        fragile.stop()
        load.wait(2)
        fragile.start()
        load.wait(1)

    assert len(load.sent) > 100
    assert load.slowest_s < 2
    check(fragile, load.sent)


@fault(3, 4)
def test_a_collector_that_is_held_still_for_a_while_under_load_has_everything(
    fragile: FragileCollector, start_bridge: StartBridge
) -> None:
    fragile.start()
    bridge = start_bridge(*fragile.destinations)
    with loaded(bridge) as load:
        load.wait(1)
        fragile.program.signal(signal.SIGSTOP)
        load.wait(3)
        fragile.program.signal(signal.SIGCONT)
        load.wait(1)

    assert len(load.sent) > 100
    assert load.slowest_s < 2
    check(fragile, load.sent)


@fault(5, 7)
def test_what_a_collector_refuses_for_lack_of_memory_comes_when_it_has_more(
    fragile: FragileCollector, start_bridge: StartBridge
) -> None:
    fragile.start("limited.yaml")
    bridge = start_bridge(*fragile.destinations)
    with loaded(bridge) as load:
        load.wait(3)
        refused = [line for line in bridge.metrics_page().splitlines() if "_retries_total{" in line]
        before = fragile.spans(PROTOCOLS[0])
        fragile.stop()
        fragile.start()

    assert len(load.sent) > 100
    assert before == {}
    assert any('reason="grpc_unavailable"' in line for line in refused)
    assert any('reason="http_503"' in line for line in refused)
    check(fragile, load.sent)
    assert "otelbridge_delivery_rejected_total{" not in bridge.metrics_page()
