"""Views, briefs and pages as short as a test needs them."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

from otelbridge.core.overview import Overview
from otelbridge.domain.ports import Cost
from otelbridge.domain.recent import Brief, TokenBrief, ToolBrief
from otelbridge.page.rates import Rates
from otelbridge.page.view import View
from tests.records import T0, S, uuid

_VOID = frozenset({"meta", "link"})


def ns(at_s: float) -> int:
    """Return the time so many seconds after T0."""
    return T0 + int(at_s * S)


def cost(usd: str) -> Cost:
    """Return a cost, all of it of input."""
    none = Decimal(0)
    return Cost(
        input=Decimal(usd),
        output=none,
        cache_read=none,
        cache_write=none,
        web_search=none,
        price_id="anthropic/claude",
        price_version="1",
    )


def tool(name: str = "Read", at_s: float = 1, **fields: Any) -> ToolBrief:
    """Return a tool use."""
    given = {"injected": False, "error_type": "", **fields}
    return ToolBrief(name=name, at_ns=ns(at_s), **given)


def brief(number: int = 1, at_s: float = 0, took_s: float = 2, **fields: Any) -> Brief:
    """Return an interception that went well."""
    tools = fields.get("tools", ())
    given: dict[str, Any] = {
        "id": uuid(number),
        "root_id": uuid(number),
        "parent_id": None,
        "session": "session-1",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "client": "Claude Code",
        "started_ns": ns(at_s),
        "ended_ns": ns(at_s + took_s),
        "outcome": "completed",
        "error_type": "",
        "tokens": TokenBrief(100, 20, 60, 30, 5),
        "cost": cost("0.0123"),
        "is_unpriced": False,
        "prompt_chars": 7,
        "tools": (),
        "tool_count": len(tools),
    }
    return Brief(**{**given, **fields})


def view(*briefs: Brief, **fields: Any) -> View:
    """Return a view of these interceptions."""
    given: dict[str, Any] = {
        "now_ns": ns(60),
        "status": "ready",
        "version": "1.2.3",
        "started_ns": T0,
        "day": "2026-11-22",
        "overview": Overview(recent=list(briefs)),
        "rates": Rates(),
    }
    return View(**{**given, **fields})


class Seen(HTMLParser):
    """A page as a browser takes it apart.

    Attributes:
        shape: Each tag with the names of its attributes, in their order.
        texts: What stands in each element that has an id, without white space around it.
        values: Of each ``data`` element in an element with an id, the exact value.
        links: Every ``href`` and ``src``.
        attributes: Every attribute.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shape: list[tuple[str, ...]] = []
        self.texts: dict[str, str] = {}
        self.values: dict[str, list[int]] = {}
        self.links: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.shape.append((tag, *(name for name, _ in attrs)))
        self.attributes += attrs
        self.links += [value for name, value in attrs if name in {"href", "src"} and value]
        if tag == "data":
            for name in filter(None, self._open):
                self.values.setdefault(name, []).append(int(found["value"] or ""))
        if tag not in _VOID:
            self._open.append(found.get("id") or "")

    def handle_endtag(self, _tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for name in filter(None, self._open):
            self.texts[name] = " ".join((self.texts.get(name, "") + " " + data).split())


def identifier(text: str) -> UUID:
    """Return the interception of a row's id in a page."""
    return UUID(text.removeprefix("i-"))
