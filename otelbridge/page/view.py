"""What the page shows, at one moment. Texts are as they were sent; rendering escapes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otelbridge.store.holder import StoreHealth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelbridge.core.overview import Overview
    from otelbridge.page.rates import Rates
    from otelbridge.transports.gateway.sessions import Connected


class DestinationView(NamedTuple):
    """How a destination does.

    Attributes:
        name: Its name.
        error: Why it does not take everything; empty if it does.
        since_ns: Since when it takes everything, or not.
        lag_s: Age of the oldest item that waits for it, in seconds.
        waiting_bytes: Size of what waits for it.
        dead_letters: Items that it refused for good and that are kept.
    """

    name: str
    error: str
    since_ns: int
    lag_s: float
    waiting_bytes: int
    dead_letters: int


class BudgetView(NamedTuple):
    """A user's budget.

    Attributes:
        user: The user's name in the store.
        period: ``day``, ``week`` or ``month``.
        spent_nanos: What was spent in it, in USD * 10^9.
        limit_nanos: What may be, in USD * 10^9.
        utilization: Which part is spent: 1 is the limit.
    """

    user: str
    period: str
    spent_nanos: int
    limit_nanos: int
    utilization: float


class StoreView(NamedTuple):
    """What the store holds, and whether its file is what is answered from.

    Attributes:
        health: Whether the file is right.
        wrong_since_ns: Since when it is not; 0 while it is.
        users: Users.
        keys: Their keys.
        mcp_servers: MCP servers.
        providers: Providers.
    """

    health: StoreHealth = StoreHealth()
    wrong_since_ns: int = 0
    users: int = 0
    keys: int = 0
    mcp_servers: int = 0
    providers: int = 0


class JournalView(NamedTuple):
    """The journal.

    Attributes:
        records: Records of open interceptions.
        bytes: Size of its data.
        free_bytes: Free space on its disk.
        disk_is_full: Whether the disk was full, and has no space for the reserve yet.
        unread: About how many records have not been read since the start.
    """

    records: int = 0
    bytes: int = 0
    free_bytes: int = 0
    disk_is_full: bool = False
    unread: int = 0


class Links(NamedTuple):
    """Where the page leads to.

    Attributes:
        trace_url: A trace, with ``{trace_id}`` in it; None for nowhere.
        dashboard_url: Dashboards; None for nowhere.
        by_thread: Whether a trace is a thread of interceptions.
        asks_token: Whether /metrics asks for a token, which a browser cannot show.
    """

    trace_url: str | None = None
    dashboard_url: str | None = None
    by_thread: bool = False
    asks_token: bool = False


class View(NamedTuple):
    """Everything.

    Attributes:
        now_ns: When it was looked at.
        status: ``ready``, or why calls are not taken.
        version: The bridge's version.
        started_ns: When it started.
        day: Today, ``YYYY-MM-DD``, UTC.
        overview: What the core has.
        rates: What arrived in the last minutes.
        destinations: Where telemetry goes.
        gateways: Who is connected.
        absent: Gateways of the store that are not connected, by name.
        budgets: Users' budgets, the most used first; some of them.
        budget_count: How many budgets there are.
        store: The store.
        journal: The journal.
        links: Where the page leads to.
    """

    now_ns: int
    status: str
    version: str
    started_ns: int
    day: str
    overview: Overview
    rates: Rates
    destinations: Sequence[DestinationView] = ()
    gateways: Sequence[Connected] = ()
    absent: Sequence[str] = ()
    budgets: Sequence[BudgetView] = ()
    budget_count: int = 0
    store: StoreView = StoreView()
    journal: JournalView = JournalView()
    links: Links = Links()
