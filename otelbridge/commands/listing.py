"""Lists that commands print: a table for people, JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: What is listed, by the name of its column.
    Item: TypeAlias = dict[str, str | int | None]

# Wide enough for any table: what is read by a program is not folded.
_UNBOUNDED = 500

json_option = click.option("--json", "as_json", is_flag=True, help="A JSON list, not a table.")


def print_list(items: Sequence[Item], *, as_json: bool, nothing: str) -> None:
    """Print a list on standard output.

    Args:
        items: What is listed; each has the same names in the same order.
        as_json: A JSON list of objects instead of a table.
        nothing: What is said on standard error where a table would be empty.
    """
    if as_json:
        click.echo(json.dumps(items, indent=2))
    elif items:
        _print_table(items)
    else:
        click.echo(nothing, err=True)


def _print_table(items: Sequence[Item]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNBOUNDED)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in items[0]:
        is_count = type(items[0][name]) is int  # a yes or no is none
        table.add_column(name.replace("_", " "), justify="right" if is_count else "left")
    for item in items:
        table.add_row(*(_cell(value) for value in item.values()))
    console.print(table, highlight=False)


def _cell(value: str | int | None) -> Text:
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text("-" if value is None else escaped(str(value)))
