"""Who may call and what may be spent, over the ports of whole bridges."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import httpx2
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from otelbridge.domain.ports import Signal
from otelbridge.proto import aibridged_pb2 as pb
from tests.collector import Collector
from tests.commands.programs import ended, run, start
from tests.e2e import gateways as gw
from tests.e2e.bridges import running, samples_of
from tests.faults import fault
from tests.interop.otlp import attributes
from tests.store.files import ALICE, ALICE_KEY, BOB, GATEWAY, GATEWAY_KEY, KEYS, PEOPLE, write_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.commands.programs import Done
    from tests.e2e.bridges import Bridge

BUDGETS = """
[[budget]]
user = "*"
limit_usd = "0.30"
period = "month"

[[budget]]
user = "bob"
limit_usd = "0"
period = "day"
"""
# 3 USD for a million input tokens of the model that `gw.start` names.
CENTS_30 = 100_000
LAST_MONTH = datetime.now(UTC).replace(day=1) - timedelta(days=2)


def at(moment: datetime) -> Timestamp:
    """Return a time as records carry it."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def spend(user_id: str, *moments: datetime) -> list[Message]:
    """Return an interception with a token record of 0.30 USD for each time; now, without one."""
    interception = gw.fresh_id()
    stamps = [at(moment) for moment in moments] or [gw.now()]
    used = [gw.tokens(interception, input_tokens=CENTS_30, created_at=stamp) for stamp in stamps]
    return [gw.start(interception, initiator_id=user_id), *used]


async def is_exceeded(bridge: Bridge, user_id: str) -> bool:
    """Ask for a user's budget."""
    request = pb.IsBudgetExceededRequest(user_id=user_id)
    return (await gw.ask(bridge, request, pb.IsBudgetExceededResponse)).exceeded


# --- Budgets --------------------------------------------------------------------------------


async def test_what_was_spent_is_known_right_after_a_restart_in_the_period_of_its_own_time(
    tmp_path: Path,
) -> None:
    write_store(tmp_path, PEOPLE + BUDGETS.partition("\n\n")[0])
    answers = []
    async with Collector() as collector:
        # Last month's usage comes late; then this month's.
        for sent in (spend(ALICE, LAST_MONTH, LAST_MONTH), spend(ALICE)):
            async with running(tmp_path, collector) as bridge:
                answers.append(await is_exceeded(bridge, ALICE))
                await gw.send(bridge, *sent)
                answers.append(await is_exceeded(bridge, ALICE))
        async with running(tmp_path, collector) as bridge:
            answers += [await is_exceeded(bridge, user) for user in (ALICE, BOB)]

    assert answers == [False, False, False, True, True, False]


def gauges(samples: Counter[tuple[str, frozenset[tuple[str, str]]]]) -> dict[str, dict[str, float]]:
    """Return the budgets that /metrics shows: name, user and value."""
    found: dict[str, dict[str, float]] = {}
    for (name, labels), value in samples.items():
        if name.startswith("aibridge_budget_"):
            label = dict(labels)
            user = f"{label['user_id']} {label['aibridge_budget_period']}"
            found.setdefault(name, {})[user] = value
    return found


async def test_budgets_are_gauges_where_the_user_is_a_label(tmp_path: Path) -> None:
    write_store(tmp_path, PEOPLE + BUDGETS)
    settings = {"metrics": {"interval_s": 0.2, "user_label": True}}
    stranger = gw.fresh_id()
    async with Collector() as collector:
        async with running(tmp_path, collector, settings) as bridge:
            for user in (ALICE, ALICE, BOB, stranger):
                await gw.send(bridge, *spend(user))
        async with running(tmp_path, collector, settings) as bridge:
            shown = gauges(await bridge.metrics())

    alice, bob = f"{ALICE} month", f"{BOB} day"
    assert shown == {
        "aibridge_budget_limit": {alice: 0.3, bob: 0},
        "aibridge_budget_spent": {alice: 0.6, bob: 0.3},
        "aibridge_budget_utilization_ratio": {alice: 2, bob: 1},
    }
    # A bridge that stops exports its metrics a last time.
    assert exported(collector, "aibridge.budget.spent") == ("{USD}", {ALICE: 0.6, BOB: 0.3})


def exported(collector: Collector, name: str) -> tuple[str, dict[object, float]]:
    """Return the unit of a gauge and its last values by user, as a destination got them."""
    last = collector.of(Signal.METRICS)[-1].message
    metrics = [m for r in last.resource_metrics for s in r.scope_metrics for m in s.metrics]  # type: ignore[union-attr]  # metrics
    metric = next(each for each in metrics if each.name == name)
    points = metric.gauge.data_points
    return metric.unit, {attributes(p.attributes)["user.id"]: p.as_double for p in points}


@pytest.mark.parametrize(
    ("settings", "users"),
    [({}, set()), ({"user_label": True, "limits": {"user.id": 1}}, {f"{ALICE} month"})],
)
async def test_budgets_are_no_more_gauges_than_the_label_has_values(
    tmp_path: Path, settings: dict[str, object], users: set[str]
) -> None:
    write_store(tmp_path, PEOPLE + BUDGETS)

    async with (
        Collector() as collector,
        running(tmp_path, collector, {"metrics": settings}) as bridge,
    ):
        for user in (ALICE, BOB):
            await gw.send(bridge, *spend(user))
        shown = gauges(await bridge.metrics())

    assert {user for values in shown.values() for user in values} == users


# --- As a process ---------------------------------------------------------------------------


@dataclass
class Served:
    """A bridge in a process of its own.

    Attributes:
        address: Where it takes gRPC.
        channel: A channel to there.
        metrics_url: Where its metrics are.
        done: What it wrote, once it has ended.
    """

    address: str
    channel: grpc.aio.Channel
    metrics_url: str
    done: Done | None = None

    async def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of this name that have these labels."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            page = (await client.get(self.metrics_url)).text
        wanted = set(labels.items())
        samples = samples_of(page).items()
        return sum(value for (n, found), value in samples if n == name and wanted <= found)

    async def reaches(self, name: str, expected: float) -> None:
        """Return when a total is what is expected: such counts are committed each second."""
        deadline_s = time.monotonic() + 20
        while (found := await self.total(name)) != expected:
            assert time.monotonic() < deadline_s, f"{name} is {found}, not {expected}"


@asynccontextmanager
async def serving(folder: Path, store: str, settings: str = "") -> AsyncIterator[Served]:
    """Run `otelbridge serve`; it must drain and exit with 0."""
    write_store(folder, store)
    (folder / "otelbridge.toml").write_text(
        f'[listen]\ngrpc = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n{settings}'
    )
    process = await start("serve", folder=folder)
    assert process.stdout is not None
    try:
        addresses: dict[str, str] = {}
        async with asyncio.timeout(20):
            while not (line := (await process.stdout.readline()).decode()).startswith("no dest"):
                assert line, "ended before it was ready"
                name, _, addresses[name] = line.rstrip("\n").partition(" ")
        async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
            yield (served := Served(addresses["grpc"], channel, addresses["metrics"]))
        process.send_signal(signal.SIGTERM)
        served.done = await ended(process)
        assert served.done.code == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def outcome(channel: grpc.aio.Channel, request: Message, key: str) -> str:
    """Call as who shows this gateway key; return the name of the status."""
    method = f"/proto.{gw.method_of(request)}"
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    call = channel.unary_unary(method)(request.SerializeToString(), metadata=metadata)
    code: grpc.StatusCode = await call.code()
    return str(code.name)


async def guess(
    channel: grpc.aio.Channel, request: Message, key: str, *, count: int, per_s: int
) -> Counter[str]:
    """Call at a steady rate, whatever is answered; return how often each status was.

    No more than 50 calls wait at a time: beyond a thousand gRPC itself gives
    some up, and a machine that is busy otherwise may be that slow.
    """
    loop, waiting = asyncio.get_running_loop(), asyncio.Semaphore(50)
    began, turns = loop.time(), [loop.create_future() for _ in range(count)]
    for number, turn in enumerate(turns):
        loop.call_at(began + number / per_s, turn.set_result, None)

    async def call(turn: asyncio.Future[None]) -> str:
        await turn
        async with waiting:
            return await outcome(channel, request, key)

    return Counter(await asyncio.gather(*map(call, turns)))


async def answer_times(
    channel: grpc.aio.Channel, request: Message, key: str, *, until: asyncio.Task[Counter[str]]
) -> list[float]:
    """Call one after the other, each accepted, until guessing is over; return each one's time."""
    loop, taken = asyncio.get_running_loop(), list[float]()
    while not until.done():
        began = loop.time()
        assert await outcome(channel, request, key) == "OK"
        taken.append(loop.time() - began)
    return taken


@dataclass(kw_only=True)
class Flood:
    """What came of guesses while somebody with right keys called.

    Attributes:
        answers: How often each status was answered to the guesser.
        seconds: How long it took.
        right: How long each right call took, in seconds.
    """

    answers: Counter[str]
    seconds: float
    right: list[float]


async def flood(served: Served, wrong_user_key: str, gateway_key: str) -> Flood:
    """Guess 2000 times a second over a connection of its own."""
    began, options = time.monotonic(), [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(served.address, options=options) as other:
        request = pb.IsAuthorizedRequest(key=wrong_user_key)
        guessing = asyncio.ensure_future(guess(other, request, gateway_key, count=3000, per_s=2000))
        right = await answer_times(
            served.channel, pb.IsAuthorizedRequest(key=ALICE_KEY), GATEWAY_KEY, until=guessing
        )
    seconds = time.monotonic() - began
    return Flood(answers=await guessing, seconds=seconds, right=right)


CLOSED = '[auth]\ngrpc = "gateway-key"\n'
WRONG_USER_KEY = f"aliceKey01-{'CANARY'.ljust(22, 'w')}"
WRONG_GATEWAY_KEY = "CANARY".ljust(43, "w")


@fault(33)
@pytest.mark.parametrize(
    ("user_key", "gateway_key", "counter", "label", "refused", "what"),
    [
        (
            *(ALICE_KEY, WRONG_GATEWAY_KEY),
            *("otelbridge_calls_refused_total", "otelbridge_reason", "wrong_key"),
            "refused calls",
        ),
        (
            *(WRONG_USER_KEY, GATEWAY_KEY),
            *("aibridge_authorizations_total", "aibridge_outcome", "unauthenticated"),
            "wrong keys",
        ),
    ],
    ids=["gateway keys", "user keys"],
)
async def test_two_thousand_guesses_a_second_are_limited_and_slow_no_right_caller(
    tmp_path: Path,
    user_key: str,
    gateway_key: str,
    counter: str,
    label: str,
    refused: str,
    what: str,
) -> None:
    async with serving(tmp_path, GATEWAY + PEOPLE + KEYS, CLOSED) as served:
        found = await flood(served, user_key, gateway_key)
        authorized = len(found.right) if label == "aibridge_outcome" else 0
        await served.reaches(counter, 3000 + authorized)
        counted = {
            "UNAUTHENTICATED": await served.total(counter, **{label: refused}),
            "RESOURCE_EXHAUSTED": await served.total(counter, **{label: "rate_limited"}),
        }

    assert found.answers == counted
    # A burst of 100 and 100 a second, however long it took.
    assert 100 < counted["UNAUTHENTICATED"] <= 101 + 100 * found.seconds
    # Half a millisecond on a machine that is idle otherwise; an outage never.
    assert median(found.right) < 0.25
    assert sorted(found.right)[len(found.right) * 99 // 100] < 1.0
    assert served.done is not None
    assert served.done.err.count(f"more than 100 {what} a second from ") == 1
    assert "CANARY" not in served.done.err + served.done.out


async def test_a_model_without_a_price_is_never_free_by_silence(tmp_path: Path) -> None:
    settings = '[prices]\noverrides = "prices.toml"\n'
    (tmp_path / "prices.toml").write_text(
        '[[price]]\nprovider = "acme"\nmodel = "Own"\ninput_mtok = "3"\noutput_mtok = "0"\n'
    )
    records = [
        record
        for model in ("own", "mystery", "mystery", "enigma")
        for interception in (gw.fresh_id(),)
        for record in (
            gw.start(interception, provider="acme", model=model, initiator_id=ALICE),
            gw.tokens(interception, input_tokens=50_000),
        )
    ]
    async with serving(tmp_path, PEOPLE + BUDGETS, settings) as served:
        for record in records:
            assert await outcome(served.channel, record, "") == "OK"
        unpriced = [
            await served.total("aibridge_cost_unpriced_total", gen_ai_request_model=model)
            for model in ("own", "mystery", "enigma")
        ]
        spent = await served.total("aibridge_cost_total")
        usage = await run("usage", "--by", "model", "--json", folder=tmp_path)

    assert (unpriced, spent) == ([0, 2, 1], 0.15)
    rows = {row["model"]: (row["cost_usd"], row["unpriced"]) for row in json.loads(usage.out)}
    assert rows == {"own": (0.15, 0), "mystery": (0, 2), "enigma": (0, 1)}
    assert served.done is not None
    named = [line for line in served.done.err.splitlines() if "no price is known" in line]
    assert ["mystery" in line for line in named] == [True, False]
