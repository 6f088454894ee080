"""What ``otelbridge top`` shows of a view; see `otelbridge.page.view`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.console import Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from otelbridge.page import formats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    #: A part of a view.
    Part: TypeAlias = dict[str, Any]

_NS = 1_000_000_000
_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 45
_MODELS = 6
_LANES = 8
_BUDGETS = 4
# Lines that are not recent interceptions: titles, heads and the line of what arrives.
_FIXED_LINES = 12
_RECENT = 15


def screen(view: Part, *, height: int | None = None) -> RenderableType:
    """Return everything, in as many lines as there are."""
    models = view["overview"]["models"][:_MODELS]
    lanes = view["destinations"][:_LANES]
    budgets = view["budgets"][:_BUDGETS]
    taken = _FIXED_LINES + len(models) + len(lanes) + len(budgets)
    left = _RECENT if height is None else max(1, height - taken)
    return Group(
        _title(view),
        _arriving(view["rates"], view["overview"]),
        *_part("today, by model", _models(view["overview"], models)),
        *_part("requests, the latest first", _recent(view["overview"], left)),
        *_part("destinations", _destinations(lanes)),
        *_part("budgets, the most used first", _budgets(budgets)),
        _footer(view),
        *_store(view["store"]),
    )


def _part(title: str, table: Table | None) -> Iterable[RenderableType]:
    return () if table is None else (Rule(title, align="left", style="dim"), table)


def _title(view: Part) -> Text:
    up_s = max(0, view["now_ns"] - view["started_ns"]) // _NS
    is_ready = view["status"] == "ready"
    return Text.assemble(
        (f"otelbridge {view['version']}", "bold"),
        "  ",
        (formats.plain(view["status"]), "green" if is_ready else "bold red"),
        f"  up {formats.age(up_s)}  {formats.iso(view['now_ns'])}",
    )


def _arriving(rates: Part, overview: Part) -> Text:
    bars = rates["bars"][-_WIDTH:]
    highest = max([*bars, 1])
    drawn = "".join(_BARS[-(-bar * (len(_BARS) - 1) // highest)] for bar in bars)
    failed = Text(f"{formats.rate(rates['errors'])} failed/min", "red" if rates["errors"] else "")
    return Text.assemble(
        (drawn.rjust(_WIDTH), "cyan"),
        f"  {formats.rate(rates['records'])} records/s",
        f"  {formats.rate(rates['interceptions'])} requests/min  ",
        failed,
        f"  {formats.usd(rates['cost_nanos'])}/h  {overview['open_count']:,} open",
    )


def _models(overview: Part, models: Sequence[Part]) -> Table | None:
    if not models:
        return None
    table = _table("model", "provider", ">requests", ">input", ">cached", ">output", ">cost")
    for each in models:
        _add(
            table,
            formats.plain(each["model"]) or "-",
            formats.plain(each["provider"]),
            *_totals(each["totals"]),
        )
    others = overview["other_models"] + len(overview["models"]) - len(models)
    _add(table, "all" if not others else f"all, {others} more", "", *_totals(overview["total"]))
    return table


def _totals(totals: Part) -> list[str]:
    names = ("interceptions", "input_tokens", "cache_read", "output_tokens")
    cost = formats.usd(totals["cost_nanos"])
    return [*(formats.count(totals[name]) for name in names), f"{cost}{_mark(totals)}"]


def _mark(totals: Part) -> str:
    return " *" if totals["unpriced"] else ""


def _recent(overview: Part, left: int) -> Table | None:
    briefs = list(chain(overview["open"], reversed(overview["recent"])))[:left]
    if not briefs:
        return None
    table = _table(
        "began", "client", "model", ">input", ">output", ">cost", ">tools", ">took", "ended as"
    )
    for each in briefs:
        _add(table, *_brief(each))
    return table


def _brief(each: Part) -> list[str | Text]:
    tokens = each["tokens"] or {"input": 0, "output": 0}
    is_open = each["outcome"] == "open"
    ended = formats.plain(each["error_type"] or each["outcome"])
    return [
        formats.clock(each["started_ns"]),
        formats.plain(each["client"], 20) or "-",
        formats.plain(each["model"], 32) or "-",
        formats.count(tokens["input"]),
        formats.count(tokens["output"]),
        formats.usd(_nanos(each["cost"])) if each["cost"] else "-",
        str(each["tool_count"]),
        "" if is_open else formats.duration(each["ended_ns"] - each["started_ns"]),
        Text(ended, "red" if each["error_type"] else "dim"),
    ]


def _nanos(cost: Part) -> float:
    parts = ("input", "output", "cache_read", "cache_write", "web_search")
    return sum(float(cost[part]) for part in parts) * _NS


def _destinations(lanes: Sequence[Part]) -> Table | None:
    if not lanes:
        return None
    table = _table("destination", ">behind by", ">waiting", ">dead letters", "")
    for each in lanes:
        error = (
            Text(formats.plain(each["error"], 100), "red")
            if each["error"]
            else Text("takes all", "green")
        )
        _add(
            table,
            formats.plain(each["name"]),
            formats.age(each["lag_s"]),
            formats.size(each["waiting_bytes"]),
            f"{each['dead_letters']:,}",
            error,
        )
    return table


def _budgets(budgets: Sequence[Part]) -> Table | None:
    if not budgets:
        return None
    table = _table("user", "a", ">spent", ">of", ">")
    for each in budgets:
        used = each["utilization"]
        _add(
            table,
            formats.plain(each["user"]),
            each["period"],
            formats.usd(each["spent_nanos"]),
            formats.usd(each["limit_nanos"]),
            Text(formats.percent(used), "red" if used >= 1 else "yellow" if used >= 0.8 else ""),  # noqa: PLR2004  # as the alerts
        )
    return table


def _footer(view: Part) -> Text:
    journal = view["journal"]
    names = [formats.plain(each["name"], 20) for each in view["gateways"]]
    text = Text(f"gateways: {', '.join(dict.fromkeys(names)) or 'none connected'}")
    text.append(f"   journal: {formats.size(journal['bytes'])}")
    text.append(f", {formats.size(journal['free_bytes'])} free")
    if journal["disk_is_full"]:
        text.append("  disk full", "bold red")
    if journal["unread"]:
        text.append(f"  {journal['unread']:,} records not read yet", "yellow")
    return text


def _store(store: Part) -> Iterable[Text]:
    if store["health"]["problems"]:
        age = formats.age(store["health"]["age_s"])
        yield Text(f"the store file has been wrong for {age}: otelbridge check", "bold red")


def _add(table: Table, *cells: str | Text) -> None:
    """Add a row; nothing in a text is markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def _table(*columns: str) -> Table:
    """Return a table without lines; a column whose name begins with ">" is of numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold dim", expand=False)
    for name in columns:
        is_number = name.startswith(">")
        table.add_column(
            name.removeprefix(">"), justify="right" if is_number else "left", no_wrap=True
        )
    return table
