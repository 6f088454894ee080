"""``otelbridge usage``: the ledger as a table."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otelbridge.commands.settings import config_option, read_settings
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

_KEYS = ("day", "user", "provider", "model", "client")
_NANOS = 1_000_000_000
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
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def usage(config_path: Path, *, by: tuple[str, ...], as_json: bool) -> None:
    """Print what was used: tokens, tools and cost.

    The running bridge is asked; where none runs, its journal is read.
    """
    config = read_settings(config_path, os.environ)
    grouped = group(_rows(config.journal.path), by)
    if as_json:
        click.echo(json.dumps(as_objects(grouped, by), indent=2))
    else:
        print_table(grouped, by)


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
        key = tuple(str(row[name]) for name in by)
        totals = UsageTotals(*(int(row[name]) for name in UsageTotals._fields))
        grouped[key] = grouped.get(key, UsageTotals()).plus(totals)
    return dict(sorted(grouped.items()))


def as_objects(grouped: Grouped, by: Sequence[str]) -> list[Row]:
    """Return sums as JSON objects: the keys, the counts, and ``cost_usd``."""
    objects = []
    for key, totals in grouped.items():
        counts = totals._asdict()
        cost_usd = counts.pop("cost_nanos") / _NANOS
        objects.append({**dict(zip(by, key, strict=True)), **counts, "cost_usd": cost_usd})
    return objects


def print_table(grouped: Grouped, by: Sequence[str]) -> None:
    """Print sums as a table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNBOUNDED)
    if not grouped:
        console.print("nothing was used yet")
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
