"""``otelbridge doctor`` and its canary: told everywhere, counted nowhere, whatever happens."""

from __future__ import annotations

import asyncio
import json
import signal
import tomllib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import trustme

from otelbridge.commands.init import initialise
from otelbridge.transports.control import ask, control_path
from tests.collector import Answer, Collector
from tests.commands.programs import Done, run, start
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.interop.otlp import attributes

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.e2e.bridges import Bridge

KEY = "otelbridge.canary"
SECRET = "t0k3n-that-nobody-may-see"
SETTINGS = """\
[listen]
grpc = "127.0.0.1:0"
http = "127.0.0.1:0"
drain_s = 0.1
[journal]
reserve_bytes = "1MiB"
[assembly]
grace_s = {grace_s}
[metrics]
interval_s = 0.1
user_label = true
"""
DESTINATION = """\
[[destination]]
name = "{name}"
endpoint = "{endpoint}"
protocol = "{protocol}"
events = "both"
headers = {{ authorization = "Bearer {secret}" }}
"""


def configure(folder: Path, *destinations: tuple[str, str], grace_s: float = 0.2) -> None:
    """Write the settings of a bridge that delivers to names at endpoints."""
    initialise(folder)
    text = SETTINGS.format(grace_s=grace_s)
    for name, endpoint in destinations:
        protocol = "http/protobuf" if "http" in name else "grpc"
        text += DESTINATION.format(name=name, endpoint=endpoint, protocol=protocol, secret=SECRET)
    (folder / "otelbridge.toml").write_text(text)
    (folder / "otelbridge.toml").chmod(0o600)


def beside(folder: Path, collector: Collector) -> AbstractAsyncContextManager[Bridge]:
    """Run a bridge with a folder's settings in this process."""
    settings = tomllib.loads((folder / "otelbridge.toml").read_text())
    return running(folder, collector, settings)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Process]:
    """Run `otelbridge serve` in a process of its own, until it is killed or told to stop."""
    process = await start("serve", folder=folder)
    assert process.stdout is not None
    try:
        await process.stdout.readuntil(b"destination ")
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def asked(folder: Path, name: str, **parameters: str) -> Any:
    """Ask a running bridge as the command does."""
    return await asyncio.to_thread(ask, control_path(folder / "journal.db"), name, **parameters)


def levels(done: Done, area: str) -> dict[str, str]:
    """Return the level of an area's findings, by subject."""
    found = json.loads(done.out)["findings"]
    return {f["subject"]: f["level"] for f in found if f["area"] == area}


async def test_a_bridge_in_order_is_found_so_and_tells_one_canary_that_is_not_counted(
    tmp_path: Path,
) -> None:
    async with Collector() as collector:
        configure(tmp_path, ("sink", collector.grpc_endpoint), ("http", collector.http_endpoint))
        async with beside(tmp_path, collector) as bridge:
            done = await run("doctor", folder=tmp_path)
            samples = await bridge.metrics()
            books = await asked(tmp_path, "journal-books")
            usage_rows = await asked(tmp_path, "usage")

    assert (done.code, done.err) == (0, "")
    assert "failure" not in done.out
    assert "ok       canary sink traces: delivered after " in done.out
    assert "ok       canary http logs: delivered after " in done.out
    assert "ok       gateway endpoint: http://127.0.0.1:" in done.out
    assert "warning  gateway endpoint: not connected: default" in done.out
    assert "0 failed, 1 to be looked at, " in done.out
    assert SECRET not in done.out
    spans = collector.spans
    assert len(spans) == 2
    told = attributes(spans[0].attributes)
    assert told["otelbridge.canary"] is True
    assert told["aibridge.client"] == "otelbridge doctor"
    assert not [key for key in told if key.startswith("aibridge.metadata")]
    assert len(collector.logs) == 2
    assert usage_rows == []
    assert not [labels for _, labels in samples if "canary" in {value for _, value in labels}]
    assert books["records"] == {
        "received": 3,
        "repeats": 0,
        "told": 3,
        "late": 0,
        "pending": 0,
        "lost": 0,
    }
    counted = {metric.name for metric in collector.metrics if _is_counted(metric)}
    assert not {name for name in counted if name.startswith(("aibridge.", "gen_ai."))}


def _is_counted(metric: Any) -> bool:
    data = getattr(metric, metric.WhichOneof("data"))
    return any(
        getattr(p, "as_int", 0) or getattr(p, "as_double", 0) or getattr(p, "count", 0)
        for p in data.data_points
    )


async def test_each_destination_is_told_by_itself_with_what_to_do(tmp_path: Path) -> None:
    refuses = Answer(code=grpc.StatusCode.UNAUTHENTICATED, message=f"who is {SECRET}?")
    cannot = Answer(http_status=400, message="bad data")
    silent = Answer(never=True)
    async with (
        Collector() as well,
        Collector(judge=lambda _: refuses) as strict,
        Collector(judge=lambda _: cannot) as picky,
        Collector(judge=lambda _: silent) as slow,
    ):
        configure(
            tmp_path,
            ("well", well.grpc_endpoint),
            ("strict", strict.grpc_endpoint),
            ("picky-http", picky.http_endpoint),
            ("slow", slow.grpc_endpoint),
            ("dead", "http://127.0.0.1:9"),
            grace_s=0.05,
        )
        async with beside(tmp_path, well):
            done = await run("doctor", "--json", "--timeout", "2", folder=tmp_path)

    assert levels(done, "canary") == {
        "": "ok",
        **{f"well {signal}": "ok" for signal in ("logs", "traces")},
        **{f"strict {signal}": "failure" for signal in ("logs", "traces")},
        **{f"picky-http {signal}": "failure" for signal in ("logs", "traces")},
        **{f"slow {signal}": "warning" for signal in ("logs", "traces")},
        **{f"dead {signal}": "failure" for signal in ("logs", "traces")},
    }
    found = {f["subject"]: f for f in json.loads(done.out)["findings"] if f["area"] == "canary"}
    assert "grpc_unauthenticated: who is ***?" in found["strict traces"]["message"]
    assert "look at `headers` and `tls`" in found["strict traces"]["advice"]
    assert "(http_400)" in found["picky-http traces"]["message"]
    assert "`otelbridge deadletters list`" in found["picky-http traces"]["advice"]
    assert (done.code, done.err) == (1, "")
    assert SECRET not in done.out


async def test_a_canary_is_told_and_not_counted_after_sigkill(tmp_path: Path) -> None:
    async with Collector() as collector:
        configure(tmp_path, ("sink", collector.grpc_endpoint), grace_s=0.6)
        async with serving(tmp_path) as process:
            canary = (await asked(tmp_path, "canary"))["id"]
            process.send_signal(signal.SIGKILL)
            await process.wait()
        assert collector.spans == []
        async with serving(tmp_path):
            await collector.wait_for(lambda c: bool(gw.chat_spans(c, canary)))
            usage = await asked(tmp_path, "usage")
            books = await run("reconcile", folder=tmp_path)

    (span,) = gw.chat_spans(collector, canary)
    assert attributes(span.attributes)["otelbridge.canary"] is True
    assert usage == []
    assert books.code == 0
    assert "3 told + 0 told late + 0 pending + 0 lost, which adds up" in books.out


async def test_the_key_of_canaries_is_refused_from_gateways_whatever_its_value(
    tmp_path: Path,
) -> None:
    async with Collector() as collector, running(tmp_path, collector) as bridge:
        refused = [
            await gw.refusal(bridge, gw.start(gw.fresh_id(), metadata=gw.metadata(**{KEY: value})))
            for value in (True, False, None, "x")
        ]

    assert refused == [("INVALID_ARGUMENT", f'metadata key "{KEY}" is reserved')] * 4


async def test_a_canary_is_never_active_and_what_a_gateway_sends_with_its_id_is_counted(
    tmp_path: Path,
) -> None:
    async with Collector() as collector, running(tmp_path, collector) as bridge:
        canary = (await asked(tmp_path, "canary"))["id"]
        active = await bridge.total("aibridge_interceptions_active")
        await gw.send(bridge, gw.tokens(canary, input_tokens=7), gw.tool(canary))
        span = await gw.told(bridge, canary)
        usage = await asked(tmp_path, "usage")
        counted = await _counted(bridge)

    assert active == 0
    assert attributes(span.attributes)["otelbridge.canary"] is True
    assert [(row["interceptions"], row["input_tokens"], row["tool_calls"]) for row in usage] == [
        (0, 7, 1)
    ]
    assert counted == {
        "aibridge_tool_calls_total": 1,
        "aibridge_interceptions_total": 0,
        "aibridge_threads_total": 0,
        "aibridge_prompts_total": 0,
        "gen_ai_client_inference_usage_input_tokens_total": 7,
    }


async def _counted(bridge: Bridge) -> dict[str, float]:
    names = (
        "aibridge_tool_calls_total",
        "aibridge_interceptions_total",
        "aibridge_threads_total",
        "aibridge_prompts_total",
        "gen_ai_client_inference_usage_input_tokens_total",
    )
    return {name: await bridge.total(name) for name in names}


async def test_listeners_with_tls_are_looked_at(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("bridge.example")
    async with Collector() as collector:
        configure(tmp_path, ("sink", collector.grpc_endpoint))
        made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        made.private_key_pem.write_to_path(tmp_path / "key.pem")
        (tmp_path / "key.pem").chmod(0o600)
        with (tmp_path / "otelbridge.toml").open("a") as file:
            file.write('[tls]\ncert = "cert.pem"\nkey = "key.pem"\nhttp = true\n')
            file.write(f'[auth]\nmetrics_token = "{SECRET}"\n')
        async with beside(tmp_path, collector):
            done = await run("doctor", "--json", folder=tmp_path)

    assert levels(done, "listeners") == {"grpc": "ok", "http": "ok", "metrics": "ok"}
    assert levels(done, "gateway endpoint") == {"": "warning"}
    assert json.loads(done.out)["ok"] is True
