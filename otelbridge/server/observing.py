"""What is observed when metrics are read, and what readiness says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from otelbridge.delivery.series import Observation
from otelbridge.server.budgets import BudgetGauges
from otelbridge.telemetry import instruments as ins
from otelbridge.telemetry.providers import ProviderNames
from otelbridge.telemetry.semconv import OTHER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otelbridge.config import Config
    from otelbridge.recording import JournalStats
    from otelbridge.server.committed import Committed
    from otelbridge.store import Store
    from otelbridge.store.holder import StoreHealth
    from otelbridge.transports.gateway.sessions import Connected, Gateways

_NS = 1_000_000_000
# Versions and builds of gateways that are told in the life of the process: years of releases.
_MAX_RELEASES = 100
# Label sets that are told as 0 once there is nothing to count: twice what an instrument may have.
_MAX_SEEN = 4000


class Observer:
    """Reads what is not in the ledger.

    Args:
        core: Knows the journal's state, and what is open.
        store: Knows whether its file is right, and which gateways there are.
        gateways: Knows who is connected.
        providers: Names providers.
        lanes: Destinations and the signals that they take from the outbox.
        budgets: Observes users' budgets; None if the user is no label.
        clock_ns: The bridge's clock.
    """

    def __init__(
        self,
        core: Committed,
        store: Store,
        gateways: Gateways,
        providers: ProviderNames,
        *,
        lanes: Iterable[tuple[str, str]],
        budgets: BudgetGauges | None,
        clock_ns: Callable[[], int],
    ) -> None:
        self._core = core
        self._store = store
        self._gateways = gateways
        self._providers = providers
        self._lanes = tuple(lanes)
        self._budgets = budgets
        self._clock_ns = clock_ns
        self._releases: set[tuple[str, str]] = set()
        self._seen: set[tuple[str, tuple[str, ...]]] = set()

    @classmethod
    def of(
        cls,
        config: Config,
        core: Committed,
        store: Store,
        gateways: Gateways,
        *,
        clock_ns: Callable[[], int],
    ) -> Observer:
        """Return an observer of the core, the store and the sessions."""
        budgets = BudgetGauges(store, core.spending, core.labels, clock_ns=clock_ns)
        return cls(
            core,
            store,
            gateways,
            ProviderNames(config.telemetry.providers),
            lanes=[
                (each.name, signal)
                for each in config.destination
                for signal in each.signals
                if signal != "metrics"
            ],
            budgets=budgets if config.metrics.user_label else None,
            clock_ns=clock_ns,
        )

    def __call__(self) -> list[Observation]:
        """Return every observed value."""
        now_ns = self._clock_ns()
        stats = self._core.commits.stats
        waiting = {(name, signal.value): at for (name, signal), at in stats.waiting_ns.items()}
        letters = {(name, signal.value): n for (name, signal), n in stats.dead_letters.items()}
        return [
            *self._active(),
            Observation("otelbridge.journal.records", (), stats.records),
            Observation("otelbridge.journal.bytes", (), stats.bytes),
            Observation("otelbridge.journal.unread", (), stats.unread),
            Observation("otelbridge.journal.free", (), stats.free_bytes),
            Observation("otelbridge.journal.disk_full", (), int(stats.disk_is_full)),
            Observation("otelbridge.journal.refusing", (), int(not self._core.commits.can_commit)),
            *(
                Observation("otelbridge.delivery.waiting", (name,), size)
                for name, size in stats.waiting_bytes.items()
            ),
            Observation("otelbridge.journal.oldest_age", (), _age_s(_oldest(stats), now_ns)),
            Observation("otelbridge.store.age", (), self._store.health.age_s),
            *(
                Observation("otelbridge.delivery.lag", lane, _age_s(waiting.get(lane), now_ns))
                for lane in self._lanes
            ),
            *(
                Observation("otelbridge.delivery.dead_letters", lane, letters.get(lane, 0))
                for lane in self._lanes
            ),
            *self._sessions(),
            *(self._budgets() if self._budgets else ()),
        ]

    def _sessions(self) -> list[Observation]:
        """Return the sessions of each gateway; 0 for one that is not connected."""
        connected = self._gateways.connected()
        found: Counter[tuple[str, ...]] = Counter(
            (each.name, *self._release(each)) for each in connected
        )
        names = {each.name for each in connected}
        for gateway in self._store.snapshot.gateways.values():
            if gateway.name not in names:
                found[gateway.name, "", ""] = 0
        return self._told(ins.GATEWAY_SESSIONS, found)

    def _told(self, name: str, found: Mapping[tuple[str, ...], int]) -> list[Observation]:
        """Return counts, and 0 for what was counted before: over OTLP its last value would stay."""
        if len(self._seen) < _MAX_SEEN:
            self._seen.update((name, labels) for labels, count in found.items() if count)
        gone = {labels for seen, labels in self._seen if seen == name} - found.keys()
        counts = {**found, **dict.fromkeys(gone, 0)}
        return [Observation(name, labels, count) for labels, count in counts.items()]

    def _release(self, gateway: Connected) -> tuple[str, str]:
        """Return a gateway's API version and build: it may say anything, but not always new."""
        release = gateway.version, gateway.build
        if len(self._releases) < _MAX_RELEASES:
            self._releases.add(release)
        return release if release in self._releases else (OTHER, OTHER)

    def _active(self) -> list[Observation]:
        """Return the open interceptions; 0 without any, so that a graph does not break off."""
        found: Counter[tuple[str, ...]] = Counter()
        for (provider, model), count in self._core.active.items():
            name = self._providers.name(provider, model)
            labels = ("gen_ai.provider.name", name), ("gen_ai.request.model", model)
            found[tuple(self._core.labels.known(*label) for label in labels)] += count
        if not found:
            found["", ""] = 0
        return self._told(ins.ACTIVE, found)


def readiness(
    state: str,
    *,
    can_commit: bool,
    destinations: Mapping[str, str | None],
    store: StoreHealth,
) -> tuple[bool, dict[str, object]]:
    """Return whether calls are taken, and what is told about it.

    A failing destination is named and changes nothing else: an outage of
    observability must not become one of the LLM requests. Nor must a slip of
    the pen in the store file, of which the last good state is answered.

    Args:
        state: ``starting``, ``ready`` or ``draining``.
        can_commit: Whether the journal's last commit succeeded.
        destinations: What is wrong with each destination; None if nothing is.
        store: Whether the store file is right.
    """
    if state == "ready" and not can_commit:
        state = "the journal cannot commit"
    failing = {name: error for name, error in destinations.items() if error is not None}
    return state == "ready", {
        "status": state,
        "failing_destinations": failing,
        "store": store.told(),
    }


def _oldest(stats: JournalStats) -> int | None:
    found = [*stats.waiting_ns.values()]
    if stats.oldest_ns is not None:
        found.append(stats.oldest_ns)
    return min(found, default=None)


def _age_s(since_ns: int | None, now_ns: int) -> float:
    return 0.0 if since_ns is None else max(0, now_ns - since_ns) / _NS
