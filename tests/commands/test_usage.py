"""``otelbridge usage``."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.commands.usage import as_csv, as_objects, group, print_table
from otelbridge.commands.usage_period import Period
from otelbridge.domain.ledger import UsageTotals
from otelbridge.journal import SqliteJournal
from otelbridge.transports.control import ControlServer, control_path
from tests.commands.programs import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def _row(user: str, model: str, *, day: str = "2026-11-22", **counts: int) -> dict[str, Any]:
    return {
        "day": day,
        "user_id": f"id of {user}",
        "user": user,
        "provider": "anthropic",
        "model": model,
        "client": "Claude Code",
        **UsageTotals(**counts)._asdict(),
    }


_ROWS = [
    _row("bob", "opus", interceptions=1, input_tokens=10, output_tokens=2, cost_nanos=1_500_000),
    _row("alice", "opus", interceptions=2, input_tokens=1_000, cache_read=900, tool_calls=3),
    _row("alice", "opus", day="2026-11-21", interceptions=1, input_tokens=5, unpriced=2),
]


def test_rows_that_agree_in_the_keys_are_added_up_and_sorted() -> None:
    grouped = group(_ROWS, ("user", "model"))

    assert list(grouped) == [("alice", "opus"), ("bob", "opus")]
    assert grouped["alice", "opus"] == UsageTotals(
        interceptions=3, input_tokens=1_005, cache_read=900, tool_calls=3, unpriced=2
    )


def test_the_order_of_the_keys_is_the_order_of_the_rows() -> None:
    assert list(group(_ROWS, ("day", "user"))) == [
        ("2026-11-21", "alice"),
        ("2026-11-22", "alice"),
        ("2026-11-22", "bob"),
    ]


def test_json_has_the_keys_the_counts_and_the_cost_in_usd() -> None:
    [alice, bob] = as_objects(group(_ROWS, ("user",)), ("user",))

    assert bob == {
        "user": "bob",
        "interceptions": 1,
        "input_tokens": 10,
        "output_tokens": 2,
        "cache_read": 0,
        "cache_write": 0,
        "reasoning": 0,
        "unpriced": 0,
        "prompts": 0,
        "tool_calls": 0,
        "cost_usd": 0.0015,
    }
    assert (alice["user"], alice["cost_usd"]) == ("alice", 0.0)


def test_a_month_is_the_sum_of_its_days_and_of_what_is_kept_by_the_month() -> None:
    rows = [*_ROWS, _row("bob", "opus", day="2025-03", interceptions=7)]

    grouped = group(rows, ("month",))

    assert {key: totals.interceptions for key, totals in grouped.items()} == {
        ("2025-03",): 7,
        ("2026-11",): 4,
    }


def test_csv_has_the_columns_of_json_and_no_formula() -> None:
    rows = [_row('=cmd|"x"', "a, b", interceptions=1, cost_nanos=1_500_000)]

    lines = as_csv(group(rows, ("user", "model")), ("user", "model")).split("\r\n")

    assert lines == [
        (
            "user,model,interceptions,input_tokens,output_tokens,cache_read,cache_write,"
            "reasoning,unpriced,prompts,tool_calls,cost_usd"
        ),
        '"\'=cmd|""x""","a, b",1,0,0,0,0,0,0,0,0,0.0015',
        "",
    ]


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        ("", "", ["2025-03", "2026-10-31", "2026-11-01", "2026-11-22"]),
        ("2026-11-01", "", ["2026-11-01", "2026-11-22"]),
        ("", "2026-10-31", ["2025-03", "2026-10-31"]),
        ("2026-10-31", "2026-11-01", ["2026-10-31", "2026-11-01"]),
        ("2025-03-15", "2025-03-20", ["2025-03"]),
        ("2025-04-01", "2026-10-30", []),
    ],
)
def test_a_period_has_its_first_and_its_last_day(first: str, last: str, days: list[str]) -> None:
    known = ["2025-03", "2026-10-31", "2026-11-01", "2026-11-22"]

    assert [day for day in known if Period(first, last).has(day)] == days


def test_the_table_has_a_total_and_says_what_has_no_price(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(group(_ROWS, ("user", "model")), ("user", "model"))

    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "user   model  requests  input  cached  output  tools       cost",
        "alice  opus          3  1,005     900       0      3  $0.0000 *",
        "bob    opus          1     10       0       2      0    $0.0015",
        "total                4  1,015     900       2      3  $0.0015 *",
        "* without the cost of 2 token records of unknown price",
    ]


def test_a_table_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({}, ("user",))

    assert capsys.readouterr().out == "nothing was used yet\n"


def test_a_name_can_do_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [_row("\x1b[31mmallory", "[bold]m[/bold]", interceptions=1)]

    print_table(group(rows, ("user", "model")), ("user", "model"))

    out = capsys.readouterr().out
    assert r"\x1b[31mmallory" in out
    assert "[bold]m[/bold]" in out


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("user,nope", "'nope' is none of day, month, user, provider, model, client"),
        ("", "'' is none of day, month, user, provider, model, client"),
        ("user,user", "'user' is given twice"),
    ],
)
def test_a_key_that_there_is_not_is_wrong_usage(keys: str, problem: str) -> None:
    done = CliRunner().invoke(cli, ["usage", "--by", keys])

    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == f"Error: Invalid value for '--by': {problem}"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            ["--since", "2026-13-01"],
            (
                "Invalid value for '--since': '2026-13-01' is no YYYY-MM-DD, YYYY-MM, today,"
                " yesterday, or number of days as 7d"
            ),
        ),
        (
            ["--since", "2026-11-02", "--until", "2026-11-01"],
            "Invalid value for '--since': 2026-11-02 is after --until 2026-11-01",
        ),
    ],
)
def test_a_period_that_there_is_not_is_wrong_usage(options: list[str], problem: str) -> None:
    done = CliRunner().invoke(cli, ["usage", *options])

    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == f"Error: {problem}"


@asynccontextmanager
async def _bridge(folder: Path) -> AsyncIterator[None]:
    (folder / "otelbridge.toml").touch()
    bridge = ControlServer(control_path(folder / "journal.db"), {"usage": lambda _query: _ROWS})
    await bridge.start()
    try:
        yield
    finally:
        await bridge.stop()


async def test_a_running_bridge_is_asked(tmp_path: Path) -> None:
    async with _bridge(tmp_path):
        done = await run("usage", "--by", "user", "--json", folder=tmp_path)

    assert done.code == 0
    assert [row["user"] for row in json.loads(done.out)] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("options", "interceptions"),
    [
        (["--since", "2026-11-22"], 3),
        (["--until", "2026-11-21"], 1),
        (["--since", "2026-11", "--until", "2026-11"], 4),
        (["--until", "2026-10"], 0),
        (["--since", "9999d"], 4),
    ],
)
async def test_a_period_is_counted(options: list[str], interceptions: int, tmp_path: Path) -> None:
    async with _bridge(tmp_path):
        done = await run("usage", "--by", "provider", "--json", *options, folder=tmp_path)

    assert sum(row["interceptions"] for row in json.loads(done.out)) == interceptions


async def test_a_table_that_is_piped_is_not_folded(tmp_path: Path) -> None:
    async with _bridge(tmp_path):
        done = await run("usage", "--by", "day,user,provider,model,client", folder=tmp_path)

    lines = done.out.splitlines()
    assert len(lines) == 6
    assert len(lines[0]) > 80


async def test_without_a_bridge_its_journal_is_read(tmp_path: Path) -> None:
    (tmp_path / "otelbridge.toml").touch()
    SqliteJournal(tmp_path / "journal.db").close()

    done = await run("usage", folder=tmp_path)

    assert (done.code, done.out, done.err) == (0, "nothing was used yet\n", "")


async def test_without_a_bridge_and_a_journal_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "otelbridge.toml").touch()

    done = await run("usage", folder=tmp_path)

    assert (done.code, done.out) == (1, "")
    assert done.err == "Error: journal.db: no bridge runs here, and none has kept a journal\n"
