"""A diagnosis: everything is looked at, in the order in which the data flows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.commands.doctoring.backends import jaeger_findings, prometheus_findings
from otelbridge.commands.doctoring.canary import Sent, send_canary
from otelbridge.commands.doctoring.certificates import certificate_findings
from otelbridge.commands.doctoring.clock import clock_findings, own_clock_finding
from otelbridge.commands.doctoring.destinations import probed, told_findings
from otelbridge.commands.doctoring.files import (
    examined,
    mode_findings,
    store_findings,
    token_findings,
)
from otelbridge.commands.doctoring.findings import Finding, failure, ok, warning
from otelbridge.commands.doctoring.journal import journal_findings
from otelbridge.commands.doctoring.running import (
    Running,
    find_running,
    gateway_findings,
    listener_findings,
)
from otelbridge.errors import OtelBridgeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from otelbridge.commands.doctoring.canary import Show
    from otelbridge.commands.examination import Examination
    from otelbridge.config import Config

# Beyond the time that the bridge waits for an interception's last records, in seconds: a
# destination that failed is asked again within it.
_PATIENCE_S = 15.0


class Wanted(NamedTuple):
    """What was asked for.

    Attributes:
        timeout_s: How long to wait for the canary, in seconds; None for the default.
        jaeger: Where it is read back; None for nowhere.
        prometheus: Where metrics are looked for; None for nowhere.
    """

    timeout_s: float | None = None
    jaeger: str | None = None
    prometheus: str | None = None

    @property
    def backends(self) -> list[str]:
        """Return the backends' URLs."""
        return [url for url in (self.jaeger, self.prometheus) if url is not None]


async def diagnosed(
    path: Path, environ: Mapping[str, str], wanted: Wanted, *, show: Show
) -> AsyncIterator[Finding]:
    """Yield how everything stands.

    Args:
        path: The settings' file.
        environ: Variables over the settings, and secrets of the store.
        wanted: What else was asked for.
        show: Shows what is waited for.
    """
    examination, findings = examined(path, environ)
    for each in (*findings, *_of_files(examination, path)):
        yield each
    if examination.config is not None:
        async for finding in _of_installation(examination, examination.config, wanted, show):
            yield finding


async def _of_installation(
    examination: Examination, config: Config, wanted: Wanted, show: Show
) -> AsyncIterator[Finding]:
    try:
        running = find_running(config)
    except OtelBridgeError as error:
        yield failure("bridge", str(error), "look at its log, and restart it")
        return
    for each in journal_findings(config, is_running=running is not None):
        yield each
    if running is not None:
        async for each in _of_running(config, examination, running):
            yield each
    else:
        for each in await _at_rest(config, show):
            yield each
    show("comparing clocks")
    for each in await clock_findings(config, wanted.backends):
        yield each
    async for each in _way(config, wanted, is_running=running is not None, show=show):
        yield each


def _of_files(examination: Examination, path: Path) -> Iterator[Finding]:
    """Yield what files alone tell."""
    config, now_ns = examination.config, time.time_ns()
    if config is None:
        return
    if examination.snapshot is not None:
        yield from store_findings(examination.snapshot, now_ns=now_ns)
        yield from token_findings(examination.snapshot, config.store.path, now_ns=now_ns)
    yield from mode_findings(config, path)
    yield from certificate_findings(config, now_s=time.time())


async def _of_running(
    config: Config, examination: Examination, running: Running
) -> AsyncIterator[Finding]:
    """Yield what the running bridge tells."""
    async for each in listener_findings(config, running):
        yield each
    for each in gateway_findings(config, examination.snapshot):
        yield each
    for each in told_findings(config, running):
        yield each
    yield own_clock_finding(running)


async def _at_rest(config: Config, show: Show) -> list[Finding]:
    text = "none runs with this journal: destinations are asked directly"
    show("asking the destinations")
    return [warning("bridge", text, "start it: `otelbridge serve`"), *await probed(config)]


async def _way(
    config: Config, wanted: Wanted, *, is_running: bool, show: Show
) -> AsyncIterator[Finding]:
    """Yield how far a canary comes, and what the backends have."""
    limit_s = wanted.timeout_s or config.assembly.grace_s + _PATIENCE_S
    sent = await send_canary(config, limit_s=limit_s, show=show) if is_running else None
    if isinstance(sent, Sent):
        for each in sent.findings:
            yield each
    elif sent is not None:
        yield sent
    if wanted.jaeger is not None and isinstance(sent, Sent):
        for each in await jaeger_findings(wanted.jaeger, sent.id, limit_s=limit_s, show=show):
            yield each
    elif wanted.jaeger is not None:
        yield ok("jaeger", "no canary was sent: there is nothing to look for")
    if wanted.prometheus is not None:
        for each in await prometheus_findings(wanted.prometheus):
            yield each
