"""``otelbridge top``."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from otelbridge.core.overview import ModelUsage, Overview
from otelbridge.domain.ledger import UsageTotals
from otelbridge.page.plain import plain
from otelbridge.page.rates import Rates
from otelbridge.page.view import BudgetView, DestinationView, JournalView, StoreView, View
from otelbridge.store.holder import StoreHealth
from otelbridge.transports.control import ControlServer, control_path
from tests.commands.programs import environment, run
from tests.page.views import brief, tool, view

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_USED = UsageTotals(
    interceptions=3, input_tokens=12_345, cache_read=9_000, output_tokens=678, cost_nanos=1_500_000
)
_BUSY = view(
    overview=Overview(
        recent=[brief(1), brief(2, at_s=5, error_type="rate_limited", outcome="error")],
        open=[brief(3, at_s=9, outcome="open", cost=None, tools=(tool(),))],
        open_count=1,
        models=[ModelUsage("anthropic", "claude-sonnet-4-5", _USED)],
        total=_USED._replace(unpriced=1),
    ),
    rates=Rates(bars=(0, 1, 8), seconds=6, records=4.5, interceptions=12, errors=1, cost_nanos=2e9),
    destinations=[
        DestinationView("jaeger", "", 0, 0.2, 0, 0),
        DestinationView("collector", "grpc_unavailable: refused", 0, 75.0, 4096, 2),
    ],
    budgets=[BudgetView("alice", "month", 45 * 10**9, 50 * 10**9, 0.9)],
    store=StoreView(health=StoreHealth(problems=1, age_s=90)),
    journal=JournalView(bytes=2048, free_bytes=2**30, disk_is_full=True, unread=7),
)


@asynccontextmanager
async def _bridge(folder: Path, seen: View) -> AsyncIterator[None]:
    (folder / "otelbridge.toml").touch()
    bridge = ControlServer(
        control_path(folder / "journal.db"), {"view": lambda _query: plain(seen)}
    )
    await bridge.start()
    try:
        yield
    finally:
        await bridge.stop()


async def _printed(folder: Path, seen: View) -> list[str]:
    async with _bridge(folder, seen):
        done = await run("top", folder=folder)
    assert (done.code, done.err) == (0, "")
    return [" ".join(line.split()) for line in done.out.splitlines()]


async def test_it_is_told_what_arrives_what_it_costs_and_who_is_behind(tmp_path: Path) -> None:
    lines = await _printed(tmp_path, _BUSY)

    assert lines[0] == "otelbridge 1.2.3 ready up 1 min 00 s 2026-11-22T12:01:00Z"
    assert lines[1] == "▁█ 4.5 records/s 12 requests/min 1.0 failed/min $2.00/h 1 open"
    assert "claude-sonnet-4-5 anthropic 3 12,345 9,000 678 $0.0015" in lines
    assert "all 3 12,345 9,000 678 $0.0015 *" in lines
    assert "jaeger none 0 B 0 takes all" in lines
    assert "collector 1 min 15 s 4.0 KiB 2 grpc_unavailable: refused" in lines
    assert "alice month $45.00 $50.00 90 %" in lines
    assert lines[-2:] == [
        "gateways: none connected journal: 2.0 KiB, 1.0 GiB free disk full 7 records not read yet",
        "the store file has been wrong for 1 min 30 s: otelbridge check",
    ]


async def test_requests_are_told_the_latest_first_and_open_ones_before(tmp_path: Path) -> None:
    lines = await _printed(tmp_path, _BUSY)

    rows = [line for line in lines if "Claude Code" in line]
    assert rows == [
        "12:00:09 Claude Code claude-sonnet-4-5 100 20 - 1 open",
        "12:00:05 Claude Code claude-sonnet-4-5 100 20 $0.0123 0 2.0 s rate_limited",
        "12:00:00 Claude Code claude-sonnet-4-5 100 20 $0.0123 0 2.0 s completed",
    ]


async def test_of_nothing_there_are_no_tables(tmp_path: Path) -> None:
    lines = await _printed(tmp_path, view())

    assert len(lines) == 3


async def test_a_name_can_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    hostile = brief(1, model="\x1b[31mmallory", client="[bold]m[/bold]", error_type="\x9b2J")

    lines = await _printed(tmp_path, view(hostile))

    (row,) = [line for line in lines if "mallory" in line]
    assert r"\x1b[31mmallory" in row
    assert "[bold]m[/bold]" in row
    assert r"\x9b2J" in row


async def test_json_has_everything(tmp_path: Path) -> None:
    async with _bridge(tmp_path, _BUSY):
        done = await run("top", "--json", folder=tmp_path)

    found = json.loads(done.out)
    assert found == json.loads(json.dumps(plain(_BUSY)))
    assert found["overview"]["recent"][0]["cost"]["input"] == "0.0123"


async def test_where_no_bridge_runs_it_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "otelbridge.toml").touch()

    done = await run("top", folder=tmp_path)

    assert (done.code, done.out) == (1, "")
    assert done.err == "Error: no bridge runs here: there is nothing to watch\n"


@pytest.mark.parametrize("interval", ["0.1", "61", "soon"])
async def test_an_interval_that_cannot_be_is_wrong_usage(interval: str, tmp_path: Path) -> None:
    done = await run("top", "--interval", interval, folder=tmp_path)

    assert (done.code, done.out) == (2, "")


async def test_on_a_terminal_it_goes_on_until_it_is_interrupted(tmp_path: Path) -> None:
    async with _bridge(tmp_path, _BUSY):
        ours, theirs = pty.openpty()
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "otelbridge", "top", "--interval", "0.5"),
            cwd=tmp_path,
            env=environment(TERM="xterm", LINES="40"),
            stdin=theirs,
            stdout=theirs,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(theirs)
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            seen = b""
            while seen.count(b"4.5 records/s") < 2:  # it was drawn again
                seen += await asyncio.to_thread(terminal.read, 65536)
            program.send_signal(signal.SIGINT)
            _, said = await program.communicate()

    assert (program.returncode, said) == (0, b"")
