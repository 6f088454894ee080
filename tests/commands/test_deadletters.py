"""``otelbridge deadletters``: of a running bridge, and of a journal at rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.commands.init import initialise
from otelbridge.domain.ports import Signal
from tests.collector import Answer, Collector
from tests.commands.programs import run
from tests.e2e import gateways as gw
from tests.e2e.bridges import running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector import Request
    from tests.e2e.bridges import Bridge

BAD = Answer(code=grpc.StatusCode.INVALID_ARGUMENT, message="no poison")


def refuse_poison(request: Request) -> Answer | None:
    return BAD if request.signal is Signal.TRACES and b"poison" in request.body else None


def prepare(folder: Path, collector: Collector) -> None:
    """Write settings that name the destination of the bridge that `running` starts."""
    initialise(folder)
    (folder / "otelbridge.toml").write_text(
        f'[[destination]]\nname = "sink"\nendpoint = "{collector.grpc_endpoint}"\n'
    )


async def bury(bridge: Bridge, count: int) -> list[str]:
    """Send interceptions that the collector refuses; return their ids once they are buried."""
    ids = [gw.fresh_id() for _ in range(count)]
    for each in ids:
        await gw.send(bridge, gw.start(each, model="poison"), gw.end(each))
    while await bridge.total("otelbridge_delivery_dead_lettered_total") < count:
        pass  # each look is a request to the bridge
    return ids


async def command(folder: Path, *arguments: str) -> Any:
    """Run a command that prints JSON; return it."""
    done = await run("deadletters", *arguments, "--json", folder=folder)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


async def test_a_running_bridge_lists_shows_resends_and_drops(tmp_path: Path) -> None:
    async with Collector(judge=refuse_poison) as collector:
        prepare(tmp_path, collector)
        async with running(tmp_path, collector) as bridge:
            first, second, third = await bury(bridge, 3)
            listed = await command(tmp_path, "list")
            shown = await command(tmp_path, "show", "2")
            collector.judge = lambda _: None
            resent = await command(tmp_path, "resend", "2")
            await collector.wait_for(lambda c: bool(gw.chat_spans(c, second)))
            dropped = await command(tmp_path, "drop", "--destination", "sink")
            left = await command(tmp_path, "list")
            counted = [
                await bridge.total(f"otelbridge_delivery_{name}_total")
                for name in ("dead_lettered", "rejected", "resent", "dropped")
            ]

    (span,) = shown["spans"]
    assert [each["id"] for each in listed] == [1, 2, 3]
    assert listed[0]["reason"] == "grpc_invalid_argument: no poison"
    assert span["traceId"] == second.replace("-", "")
    assert resent == {"letters": 1, "items": 1, "skipped": 0}
    assert dropped == {"letters": 2, "items": 2, "skipped": 0}
    assert (left, counted) == ([], [3, 3, 1, 2])
    assert not gw.chat_spans(collector, first, third)


async def test_the_gauge_shows_what_is_kept(tmp_path: Path) -> None:
    async with Collector(judge=refuse_poison) as collector:
        prepare(tmp_path, collector)
        async with running(tmp_path, collector) as bridge:
            await bury(bridge, 2)
            while await bridge.total("otelbridge_delivery_dead_letters", **_LANE) != 2:
                pass
            await command(tmp_path, "drop", "--all")
            while await bridge.total("otelbridge_delivery_dead_letters", **_LANE) != 0:
                pass


_LANE = {"otelbridge_destination": "sink", "otelbridge_signal": "traces"}


async def test_a_journal_at_rest_is_opened_and_what_is_told_again_goes_out_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with Collector(judge=refuse_poison) as collector:
        prepare(tmp_path, collector)
        async with running(tmp_path, collector) as bridge:
            first, second = await bury(bridge, 2)
        listed = await command(tmp_path, "list", "--destination", "sink")
        shown = await run("deadletters", "show", "1", folder=tmp_path)
        dropped = await command(tmp_path, "drop", "1")
        resent = await command(tmp_path, "resend", "--all")
        collector.judge = lambda _: None
        async with running(tmp_path, collector) as bridge:
            await collector.wait_for(lambda c: bool(gw.chat_spans(c, second)))
            counted = [
                await bridge.total(f"otelbridge_delivery_{name}_total")
                for name in ("dead_lettered", "resent", "dropped")
            ]

    assert [each["id"] for each in listed] == [1, 2]
    assert f"trace {first.replace('-', '')}" in shown.out
    assert "gen_ai.request.model = poison" in shown.out
    assert (dropped["letters"], resent["letters"]) == (1, 1)
    assert counted == [2, 1, 1]
    assert not gw.chat_spans(collector, first)


async def test_people_are_told_in_a_table_and_in_sentences(tmp_path: Path) -> None:
    async with Collector(judge=refuse_poison) as collector:
        prepare(tmp_path, collector)
        nothing = await run("deadletters", "list", folder=tmp_path)
        async with running(tmp_path, collector) as bridge:
            await bury(bridge, 2)
            table = await run("deadletters", "list", "--limit", "1", folder=tmp_path)
            done = await run("deadletters", "drop", "1", "9", folder=tmp_path)

    head, row = table.out.splitlines()
    assert (nothing.code, nothing.out) == (1, "")
    assert nothing.err.endswith("no bridge runs here, and none has kept a journal\n")
    assert head.split() == ["id", "destination", "signal", "items", "size", "at", "reason"]
    assert row.split()[:4] == ["1", "sink", "traces", "1"]
    assert table.err == "1 more\n"
    assert (done.code, done.out) == (1, "1 dead letter dropped: 1 item\n")
    assert done.err == "Error: 1 number of no dead letter\n"


async def test_what_is_refused_again_is_a_dead_letter_again_and_not_told_for_ever(
    tmp_path: Path,
) -> None:
    async with Collector(judge=refuse_poison) as collector:
        prepare(tmp_path, collector)
        async with running(tmp_path, collector) as bridge:
            await bury(bridge, 2)
            moved = await command(tmp_path, "resend", "--all")
            while await bridge.total("otelbridge_delivery_dead_lettered_total") < 4:
                pass
            left = await command(tmp_path, "list")

    assert moved["letters"] == 2
    assert [each["id"] for each in left] == [3, 4]


@pytest.mark.parametrize("name", ["resend", "drop"])
@pytest.mark.parametrize(
    "arguments", [[], ["1", "--all"], ["--all", "--destination", "sink"], ["0"], ["x"]]
)
def test_a_selection_is_numbers_or_a_destination_or_all(name: str, arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, ["deadletters", name, *arguments])

    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error: " in done.stderr


async def test_one_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    async with Collector() as collector:
        prepare(tmp_path, collector)
        async with running(tmp_path, collector):
            done = await run("deadletters", "show", "5", folder=tmp_path)

    assert (done.code, done.err) == (1, "Error: there is no dead letter 5\n")
