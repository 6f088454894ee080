"""A changed header or certificate heals a destination without a restart."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme

from otelbridge.config.sections import Config
from otelbridge.delivery.delivery import Delivery
from otelbridge.delivery.sources import MetricSources
from otelbridge.domain.ports import Signal
from tests.collector import Answer, Collector
from tests.delivery.fakes import RESOURCE, VERSION, FakeTime, MemoryOutbox, span
from tests.faults import fault

if TYPE_CHECKING:
    from tests.collector import Request
    from tests.delivery.conftest import Certificates

PROTOCOLS = ("grpc", "http/protobuf")


def wants(key: str, request: Request) -> Answer | None:
    if request.headers.get("authorization") == key:
        return None
    return Answer(code=grpc.StatusCode.UNAUTHENTICATED, http_status=401, message=f"not {key}")


def settings(collector: Collector, protocol: str, **more: Any) -> Config:
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
    each = {"name": "d", "endpoint": endpoint, "protocol": protocol, "signals": ["traces"], **more}
    return Config.model_validate({"destination": [each]})


def delivery_of(config: Config, outbox: MemoryOutbox, time: FakeTime) -> Delivery:
    metrics = MetricSources(
        snapshot=dict,
        observe=list,
        load_base=lambda _name: "",
        save_base=lambda _name, _text: None,
    )
    return Delivery(
        config,
        outbox=outbox,
        metrics=metrics,
        resource=RESOURCE,
        version=VERSION,
        timing=time.timing,
    )


@fault(10)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_wrong_token_keeps_everything_and_a_right_one_in_its_file_heals(
    collector: Collector, outbox: MemoryOutbox, time: FakeTime, tmp_path: Path, protocol: str
) -> None:
    collector.judge = lambda request: wants("Bearer right", request)
    token = tmp_path / "token"
    token.write_text("wrong")
    header = {"authorization": {"file": token, "prefix": "Bearer "}}
    delivery = delivery_of(settings(collector, protocol, headers=header), outbox, time)
    outbox.put(Signal.TRACES, span("a"))
    await delivery.start()
    await collector.wait_for(lambda c: len(c.requests) > 1)
    (failing,) = delivery.statuses()
    token.write_text("right")
    async with asyncio.timeout(10):
        await outbox.until_taken(1)
    (healthy,) = delivery.statuses()
    await delivery.stop(1)

    reason = "grpc_unauthenticated" if protocol == "grpc" else "http_401"
    assert failing.last_error == f"traces: {reason}: not Bearer right"
    assert (healthy.healthy, outbox.buried) == (True, [])
    assert [each.name for each in collector.spans] == ["a"]
    key = ("otelbridge.delivery.retries", "d", "traces", reason)
    assert outbox.counts[key] >= 2


@fault(10)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_right_header_in_new_settings_heals_at_once(
    collector: Collector,
    outbox: MemoryOutbox,
    time: FakeTime,
    caplog: pytest.LogCaptureFixture,
    protocol: str,
) -> None:
    caplog.set_level(logging.INFO)
    collector.judge = lambda request: wants("right", request)
    wrong, right = (
        settings(collector, protocol, headers={"authorization": key}) for key in ("old", "right")
    )
    delivery = delivery_of(wrong, outbox, time)
    outbox.put(Signal.TRACES, span("a"))
    pause = time.hold(20.0)  # never released: it is not waited for
    await delivery.start()
    await pause.reached.wait()
    await delivery.reload(right.destination)
    async with asyncio.timeout(10):
        await outbox.until_taken(1)
    await delivery.stop(1)

    assert "destination d: using new headers or certificates" in caplog.messages


def shown(collector: Collector) -> list[str]:
    return [request.headers["authorization"] for request in collector.requests]


async def test_a_token_is_hidden_wherever_it_was_read(
    collector: Collector,
    outbox: MemoryOutbox,
    time: FakeTime,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A destination that repeats the token, before and after it was changed."""

    def judge(request: Request) -> Answer:
        text = f"no: {request.headers['authorization']}"
        return Answer(code=grpc.StatusCode.UNAUTHENTICATED, message=text)

    collector.judge = judge
    token = tmp_path / "token"
    token.write_text("CANARY-1")
    config = settings(collector, "grpc", headers={"authorization": {"file": token}})
    delivery = delivery_of(config, outbox, time)
    outbox.put(Signal.TRACES, span("a"))
    await delivery.start()
    await collector.wait_for(lambda c: len(c.requests) > 1)
    token.write_text("CANARY-2")
    # The second of them comes after the first one's answer was noted.
    await collector.wait_for(lambda c: shown(c).count("CANARY-2") > 1)
    (status,) = delivery.statuses()
    await delivery.stop(0)

    assert status.last_error == "traces: grpc_unauthenticated: no: ***"
    assert "CANARY" not in caplog.text


@fault(35)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_client_certificate_is_rotated_without_a_restart(
    certificates: Certificates,
    outbox: MemoryOutbox,
    time: FakeTime,
    tmp_path: Path,
    protocol: str,
) -> None:
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    stranger = trustme.CA().issue_cert("client.example")
    cert.write_bytes(stranger.cert_chain_pems[0].bytes())
    stranger.private_key_pem.write_to_path(key)
    tls = {"ca": certificates.ca, "cert": str(cert), "key": str(key)}
    outbox.put(Signal.TRACES, span("a"))
    async with Collector(tls=certificates.mutual) as collector:
        delivery = delivery_of(settings(collector, protocol, tls=tls), outbox, time)
        await delivery.start()
        while not any(status.last_error for status in delivery.statuses()):  # noqa: ASYNC110
            await asyncio.sleep(0)  # a failed handshake is seen nowhere else
        shutil.copy(certificates.cert, cert)  # no pair yet: the stranger's stays
        shutil.copy(certificates.key, key)
        async with asyncio.timeout(10):
            await outbox.until_taken(1)
        await delivery.stop(1)

    assert [each.name for each in collector.spans] == ["a"]
