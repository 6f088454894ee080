"""``otelbridge usage``: the ledger as a table, as CSV or as JSON."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otelbridge.commands.settings import config_option, read_settings
from otelbridge.commands.usage_period import Day, Period
from otelbridge.domain.ledger import UsageTotals
from otelbridge.errors import JournalError, escaped
from otelbridge.journal import read_usage
from otelbridge.transports.control import ask, control_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    #: A row as the journal tells it: keys and `UsageTotals`.
    Row: TypeAlias = dict[str, Any]
    Grouped: TypeAlias = dict[tuple[str, ...], UsageTotals]

_KEYS = ("day", "month", "user", "provider", "model", "client")
_NANOS = 1_000_000_000
_MONTH = len("YYYY-MM")
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NOTHING = "nothing was used yet"
_NONE_THEN = "nothing was used then"
# Wide enough for any table: what is read by a program is not folded.
_UNBOUNDED = 500


def _keys(_context: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
    keys = tuple(value.split(","))
    for key in keys:
        if key not in _KEYS:
            raise click.BadParameter(f"{key!r} is none of {', '.join(_KEYS)}")
        if keys.count(key) > 1:
            raise click.BadParameter(f"{key!r} is given twice")
    return keys


@click.command()
@config_option
@click.option(
    "--by",
    callback=_keys,
    default="user,model",
    metavar="KEYS",
    show_default=True,
    help=f"What is told apart: {', '.join(_KEYS)}.",
)
@click.option("--since", type=Day(), help="From this day on (UTC).")
@click.option("--until", type=Day(is_last=True), help="Up to this day and with it.")
@click.option("--csv", "style", flag_value="csv", help="CSV instead of a table.")
@click.option("--json", "style", flag_value="json", help="A JSON list instead of a table.")
def usage(
    config_path: Path,
    *,
    by: tuple[str, ...],
    since: str | None,
    until: str | None,
    style: str | None,
) -> None:
    """Print what was used: tokens, tools and cost.

    The running bridge is asked; where none runs, its journal is read.

    A day is YYYY-MM-DD, YYYY-MM, today, yesterday, or as 7d the first of
    the last seven days. Usage of more than 400 days ago is known by the
    month: such a month counts if a day of it was asked for.
    """
    if since and until and since > until:
        raise click.BadParameter(f"{since} is after --until {until}", param_hint="'--since'")
    config = read_settings(config_path, os.environ)
    period = Period(since or "", until or "")
    rows = [row for row in _rows(config.journal.path) if period.has(row["day"])]
    grouped = group(rows, by)
    if style == "json":
        click.echo(json.dumps(as_objects(grouped, by), indent=2))
    elif style == "csv":
        click.echo(as_csv(grouped, by), nl=False)
    else:
        print_table(grouped, by, nothing=_NOTHING if rows or not any(period) else _NONE_THEN)


def _rows(journal: Path) -> list[Row]:
    rows: list[Row] | None = ask(control_path(journal), "usage")
    if rows is not None:
        return rows
    if not journal.exists():
        raise JournalError(f"{journal}: no bridge runs here, and none has kept a journal")
    return read_usage(journal)


def group(rows: Iterable[Row], by: Sequence[str]) -> Grouped:
    """Return the sums of rows that agree in these keys, sorted."""
    grouped: Grouped = {}
    for row in rows:
        key = tuple(_part(row, name) for name in by)
        totals = UsageTotals(*(int(row[name]) for name in UsageTotals._fields))
        grouped[key] = grouped.get(key, UsageTotals()).plus(totals)
    return dict(sorted(grouped.items()))


def _part(row: Row, name: str) -> str:
    return str(row["day"])[:_MONTH] if name == "month" else str(row[name])


def as_objects(grouped: Grouped, by: Sequence[str]) -> list[Row]:
    """Return sums as JSON objects: the keys, the counts, and ``cost_usd``."""
    objects = []
    for key, totals in grouped.items():
        counts = totals._asdict()
        cost_usd = counts.pop("cost_nanos") / _NANOS
        objects.append({**dict(zip(by, key, strict=True)), **counts, "cost_usd": cost_usd})
    return objects


def as_csv(grouped: Grouped, by: Sequence[str]) -> str:
    """Return sums as CSV (RFC 4180) with a head line; the columns are `as_objects`' keys.

    Names are clients' texts: one that a spreadsheet would take for a formula
    has an apostrophe before it.
    """
    out = io.StringIO()
    columns = [*by, *(name for name in UsageTotals._fields if name != "cost_nanos"), "cost_usd"]
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    for row in as_objects(grouped, by):
        writer.writerow({**row, **{name: _as_text(row[name]) for name in by}})
    return out.getvalue()


def _as_text(name: str) -> str:
    return f"'{name}" if name.startswith(_FORMULA) else name


def print_table(grouped: Grouped, by: Sequence[str], *, nothing: str = _NOTHING) -> None:
    """Print sums as a table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNBOUNDED)
    if not grouped:
        console.print(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=len(grouped) > 1)
    total = UsageTotals()
    for totals in grouped.values():
        total = total.plus(totals)
    for index, name in enumerate(by):
        table.add_column(name, footer="total" if index == 0 else "")
    for name, footer in zip(_COLUMNS, _cells(total), strict=True):
        table.add_column(name, footer=footer, justify="right", no_wrap=True)
    for key, totals in grouped.items():
        table.add_row(*(Text(escaped(part) or "-") for part in key), *_cells(totals))
    console.print(table, highlight=False)
    if total.unpriced:
        console.print(f"* without the cost of {total.unpriced:,} token records of unknown price")


_COLUMNS = ("requests", "input", "cached", "output", "tools", "cost")


def _cells(totals: UsageTotals) -> list[str]:
    mark = " *" if totals.unpriced else ""
    counts = (
        totals.interceptions,
        totals.input_tokens,
        totals.cache_read,
        totals.output_tokens,
        totals.tool_calls,
    )
    return [*(f"{count:,}" for count in counts), f"${totals.cost_nanos / _NANOS:,.4f}{mark}"]
