"""Alerts that fire: the rules with their times shortened, and who evaluates them of a bridge."""

from __future__ import annotations

import re
import time
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, Self

from tests.dashboards.told import RULES
from tests.interop.bridge import Bridge
from tests.interop.dashboards_prometheus import Watcher, start_scraping
from tests.interop.programs import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.bridge import Destination

#: Ten minutes are 20 s here: a rate over the shortest window still has several scrapes.
FASTER = 30
#: Which alerts each live test lets fire, by the test's name; see `fires`.
FIRED_BY: dict[str, frozenset[str]] = {}

_MINUTES = re.compile(r"\b(\d+)(m|h)\b")
# A lag or an age, and how far ahead the journal's space is foretold.
_SECONDS = re.compile(r"(_seconds > |, 4 \* )(\d+)\b")
_SECONDS_OF = {"m": 60, "h": 3600}
_PATIENCE_S = 60.0
_HISTORY = 'max_over_time(ALERTS{{alertstate="firing"}}[{ms}ms])'

Labels = dict[str, str]
P = ParamSpec("P")


def faster(text: str) -> str:
    """Return the rules with every time shortened."""

    def shorter(found: re.Match[str]) -> str:
        return f"{max(1, int(found[1]) * _SECONDS_OF[found[2]] // FASTER)}s"

    text = _MINUTES.sub(shorter, text)
    return _SECONDS.sub(lambda found: f"{found[1]}{int(found[2]) // FASTER}", text)


def fires(*names: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator: this test lets these alerts fire, and fails if it awaits others.

    The test takes `alerts`. All tests together must let every alert of the
    rules fire, which test_alerts_table.py looks at.
    """

    def decorate(test: Callable[P, None]) -> Callable[P, None]:
        FIRED_BY[test.__name__] = frozenset(names)

        @wraps(test)
        def checked(*args: P.args, **kwargs: P.kwargs) -> None:
            alerts = kwargs["alerts"]
            assert isinstance(alerts, Alerts)
            test(*args, **kwargs)
            assert alerts.awaited == set(names)

        return checked

    return decorate


class Again:
    """A cause that is repeated while its alert is awaited, at most once in a while."""

    def __init__(self, cause: Callable[[], object], *, every_s: float = 1.0) -> None:
        self._cause = cause
        self._every_s = every_s
        self._next_s = 0.0

    def __call__(self) -> None:
        """Cause it, if that was long enough ago."""
        if time.monotonic() >= self._next_s:
            self._cause()
            self._next_s = time.monotonic() + self._every_s


class Alerts:
    """A bridge in trouble, and a Prometheus that evaluates the rules of it.

    Both are stopped at the end of the block, whatever came of the test.

    Args:
        prometheus: The program.
        folder: Where everything is.

    Attributes:
        awaited: The names of the alerts that a test has seen firing.
        bridge_folder: Where the bridge's files are.
    """

    def __init__(self, prometheus: Path, folder: Path) -> None:
        self._prometheus = prometheus
        self._folder = folder
        self.bridge_folder = folder / "bridge"
        self.bridge_folder.mkdir()
        self.awaited: set[str] = set()
        self._bridge: Bridge | None = None
        self._watcher: Watcher | None = None
        self._since_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._watcher is not None:
            self._watcher.stop()
        if self._bridge is not None:
            code = self._bridge.stop()
            assert code == 0, f"serve exited with {code}:\n{self._bridge.output}"

    def watch(
        self, *destinations: Destination, store: str | None = None, settings: str = ""
    ) -> Bridge:
        """Start a bridge, and return it once it is watched; see `Bridge`."""
        bridge = Bridge(
            self.bridge_folder, destinations=destinations, store=store, settings=settings
        )
        self._bridge = bridge
        folder = self._folder / "prometheus"
        folder.mkdir()
        rules = folder / "rules.yml"
        rules.write_text(faster(RULES.read_text()))
        self._watcher = start_scraping(
            self._prometheus, folder, rules=rules, target_port=bridge.http_port
        )
        eventually(self._watcher.now)
        # Until then no bridge has told anything, which is an alert of its own.
        eventually(self._check_calm)
        self._since_s = time.time()
        return bridge

    def _check_calm(self) -> None:
        assert not self.watcher.firing()

    @property
    def watcher(self) -> Watcher:
        """Return the Prometheus that watches."""
        assert self._watcher is not None
        return self._watcher

    def fired(self) -> dict[str, list[Labels]]:
        """Return the labels of the alerts that have fired since `watch`, by name.

        That of an event ends when its window has passed, which may be before
        anybody asks.
        """
        now_s = time.time()
        query = _HISTORY.format(ms=int(1000 * (now_s - self._since_s)) + 1)
        found: dict[str, list[Labels]] = {}
        for series in self.watcher.at(now_s, query):
            found.setdefault(series["metric"]["alertname"], []).append(series["metric"])
        return found

    def await_firing(
        self,
        name: str,
        *,
        again: Callable[[], object] = lambda: None,
        timeout_s: float = _PATIENCE_S,
        **labels: str,
    ) -> None:
        """Return once an alert has fired with these labels.

        Args:
            name: The alert.
            again: Causes it again while it does not fire; nothing if what was done lasts.
            timeout_s: When to give up.
            labels: Some of its labels.
        """

        def check() -> None:
            found = self.fired()
            if not any(labels.items() <= each.items() for each in found.get(name, ())):
                again()
                raise AssertionError(f"{name} {labels} does not fire, but {found}")

        eventually(check, timeout_s=timeout_s)
        self.awaited.add(name)

    def await_end(self, *names: str) -> None:
        """Return once none of these alerts fires any more."""

        def check() -> None:
            assert not self.watcher.firing().keys() & set(names)

        eventually(check, timeout_s=_PATIENCE_S)
