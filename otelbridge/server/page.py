"""What the page shows, gathered from all over the bridge when somebody looks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from otelbridge.config import is_loopback
from otelbridge.domain.budgets import budget_of, spent_nanos, utilization
from otelbridge.page import Page
from otelbridge.page.rates import sample_of
from otelbridge.page.view import (
    BudgetView,
    DestinationView,
    JournalView,
    Links,
    StoreView,
    View,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otelbridge.config import Config
    from otelbridge.delivery.delivery import Delivery
    from otelbridge.delivery.health import DestinationStatus
    from otelbridge.domain.access import Snapshot
    from otelbridge.page.rates import Rates, Sample
    from otelbridge.server.committed import Committed
    from otelbridge.store import Store
    from otelbridge.transports.gateway.sessions import Connected, Gateways

_NS = 1_000_000_000
# The most used; a team has more people than anybody reads.
_BUDGETS_SHOWN = 12
_GATEWAYS_SHOWN = 50


class PageSource:
    """Gathers what the page shows. For the event loop's thread.

    Args:
        config: The settings.
        core: Knows interceptions, usage and the journal.
        store: Knows whether its file is right, users and budgets.
        delivery: Knows how destinations do.
        gateways: Knows who is connected.
        readiness: Returns ``ready``, or why calls are not taken.
        version: The bridge's version.
        clock_ns: The bridge's clock.
    """

    def __init__(
        self,
        config: Config,
        core: Committed,
        store: Store,
        delivery: Delivery,
        gateways: Gateways,
        *,
        readiness: Callable[[], str],
        version: str,
        clock_ns: Callable[[], int],
    ) -> None:
        self._core = core
        self._store = store
        self._delivery = delivery
        self._gateways = gateways
        self._readiness = readiness
        self._version = version
        self._clock_ns = clock_ns
        self._started_ns = clock_ns()
        self._token = config.auth.metrics_token
        self._is_public = not is_loopback(config.listen.http)
        self._links = Links(
            trace_url=config.page.trace_url,
            dashboard_url=config.page.dashboard_url,
            by_thread=config.telemetry.trace_grouping == "thread",
            asks_token=config.auth.metrics_token is not None,
        )

    def page(self) -> Page:
        """Return a page that shows it."""
        return Page(self.look, self.sample, token=self._token, is_public=self._is_public)

    def sample(self) -> Sample:
        """Return the ledger's totals."""
        return sample_of(self._core.ledger.snapshot(), at_ns=self._clock_ns())

    async def look(self, rates: Rates) -> View:
        """Return what is shown.

        Raises:
            JournalError: If the core cannot be asked.
        """
        now_ns = self._clock_ns()
        day = datetime.fromtimestamp(now_ns // _NS, tz=UTC).strftime("%Y-%m-%d")
        overview = await self._core.overview(day)
        # Thousands of users take some milliseconds, which no call must wait for.
        budgets = await asyncio.to_thread(self._budgets, self._store.snapshot, now_ns)
        connected = self._gateways.connected()
        return View(
            now_ns=now_ns,
            status=self._readiness(),
            version=self._version,
            started_ns=self._started_ns,
            day=day,
            overview=overview,
            rates=rates,
            destinations=[self._destination(each, now_ns) for each in self._delivery.statuses()],
            gateways=connected[:_GATEWAYS_SHOWN],
            absent=self._absent(connected)[:_GATEWAYS_SHOWN],
            budgets=budgets[:_BUDGETS_SHOWN],
            budget_count=len(budgets),
            store=self._store_view(now_ns),
            journal=self._journal(),
            links=self._links,
        )

    def _destination(self, status: DestinationStatus, now_ns: int) -> DestinationView:
        stats = self._core.commits.stats
        waiting = [at for (name, _), at in stats.waiting_ns.items() if name == status.name]
        letters = (n for (name, _), n in stats.dead_letters.items() if name == status.name)
        return DestinationView(
            name=status.name,
            error=status.last_error or "",
            since_ns=status.since_ns,
            lag_s=max(0, now_ns - min(waiting, default=now_ns)) / _NS,
            waiting_bytes=stats.waiting_bytes.get(status.name, 0),
            dead_letters=sum(letters),
        )

    def _absent(self, connected: list[Connected]) -> list[str]:
        names = {each.name for each in connected}
        known = {each.name for each in self._store.snapshot.gateways.values()}
        return sorted(known - names)

    def _budgets(self, snapshot: Snapshot, now_ns: int) -> list[BudgetView]:
        """Return all budgets, the most used first."""
        found = list(self._all_budgets(snapshot, now_ns))
        return sorted(found, key=lambda each: (-each.utilization, each.user))

    def _all_budgets(self, snapshot: Snapshot, now_ns: int) -> Iterator[BudgetView]:
        for user_id, user in snapshot.users.items():
            budget = budget_of(snapshot, user_id)
            if budget is not None:
                spent = spent_nanos(budget, self._core.spending, user_id, now_ns=now_ns)
                yield BudgetView(
                    user=user.name,
                    period=budget.period.value,
                    spent_nanos=spent,
                    limit_nanos=budget.limit_nanos,
                    utilization=utilization(budget, spent),
                )

    def _store_view(self, now_ns: int) -> StoreView:
        snapshot, health = self._store.snapshot, self._store.health
        return StoreView(
            health=health,
            wrong_since_ns=now_ns - int(health.age_s * _NS) if health.problems else 0,
            users=len(snapshot.users),
            keys=len(snapshot.keys),
            mcp_servers=len(snapshot.mcp_servers),
            providers=len(snapshot.providers),
        )

    def _journal(self) -> JournalView:
        stats = self._core.commits.stats
        return JournalView(
            records=stats.records,
            bytes=stats.bytes,
            free_bytes=stats.free_bytes,
            disk_is_full=stats.disk_is_full,
            unread=stats.unread,
        )
