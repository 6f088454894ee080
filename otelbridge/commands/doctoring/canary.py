"""The canary: an interception that nobody made, sent through the running bridge."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from otelbridge.commands.doctoring.destinations import advice_for
from otelbridge.commands.doctoring.findings import Finding, failure, ok, warning
from otelbridge.commands.doctoring.journal import asked_books
from otelbridge.errors import OtelBridgeError
from otelbridge.telemetry.variants import options_of
from otelbridge.transports.control import ask, control_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from otelbridge.config import Config
    from otelbridge.domain.books import Books

    #: Shows how far things have come.
    Show: TypeAlias = Callable[[str], None]

AREA = "canary"
_STEP_S = 0.1
_LOG = "look at the bridge's log"

#: A destination and a signal.
_Lane: TypeAlias = tuple[str, str]


class Sent(NamedTuple):
    """A canary that was recorded.

    Attributes:
        id: Its id; also, without its hyphens, that of its trace.
        findings: What came of it.
    """

    id: str
    findings: list[Finding]


class _Watched(NamedTuple):
    """What was seen of a canary on its way.

    Attributes:
        told_s: How long it took until it was told; None if it was not.
        taken_s: How long it took until each lane had taken it.
        waiting: Lanes that have not.
        errors: What is wrong with destinations, by name.
    """

    told_s: float | None
    taken_s: dict[_Lane, float]
    waiting: set[_Lane]
    errors: dict[str, str]


async def send_canary(config: Config, *, limit_s: float, show: Show) -> Sent | Finding:
    """Send a canary through the running bridge; return what came of it.

    Args:
        config: The settings.
        limit_s: How long to wait for it, in seconds.
        show: Shows how far it has come.
    """
    path = config.journal.path
    try:
        before = asked_books(path)
        canary = _asked(path, "canary")["id"]
        watched = await _watch(path, canary, _lanes(config), limit_s=limit_s, show=show)
        after = asked_books(path)
    except OtelBridgeError as error:
        return failure(AREA, f"the bridge could not be asked for one: {error}", _LOG)
    refused = _refused(before, after)
    return Sent(canary, list(_findings(config, canary, watched, refused, limit_s=limit_s)))


def _asked(path: Path, name: str, **parameters: str) -> dict[str, Any]:
    told: dict[str, Any] | None = ask(control_path(path), name, **parameters)
    if told is None:
        raise OtelBridgeError("it has ended meanwhile")
    return told


def _lanes(config: Config) -> set[_Lane]:
    """Return where something of a canary goes: its prompt is a log record for some."""
    return {
        (each.name, signal)
        for each in config.destination
        for signal in each.signals
        if signal == "traces" or (signal == "logs" and options_of(config, each)[2] != "span")
    }


async def _watch(
    path: Path, canary: str, lanes: set[_Lane], *, limit_s: float, show: Show
) -> _Watched:
    began_s = time.monotonic()
    seen = _Watched(None, {}, lanes, {})
    through: dict[str, str] = {}
    show("the canary is recorded; the bridge waits for more of it")
    while (elapsed_s := time.monotonic() - began_s) < limit_s:
        told = _asked(path, "canary-progress", id=canary, **through)
        if told["through"] is not None:
            through = {"through": str(told["through"])}
            waiting = lanes & {(name, signal) for name, signal in told["waiting"]}
            new = dict.fromkeys(seen.waiting - waiting, elapsed_s)
            told_s = elapsed_s if seen.told_s is None else seen.told_s
            seen = _Watched(told_s, {**seen.taken_s, **new}, waiting, told["errors"])
            if not waiting:
                break
            show(f"waiting for {', '.join(sorted(' '.join(lane) for lane in waiting))}")
        await asyncio.sleep(_STEP_S)
    return seen


def _refused(before: Books | None, after: Books | None) -> Mapping[_Lane, dict[str, int]]:
    """Return what was rejected between two looks at the books, by lane and reason."""
    if before is None or after is None:
        return {}
    known = {(lane.destination, lane.signal): lane.rejected for lane in before.lanes}
    found: dict[_Lane, dict[str, int]] = {}
    for each in after.lanes:
        lane = each.destination, each.signal
        old = known.get(lane, {})
        more = {k: v - old.get(k, 0) for k, v in each.rejected.items() if v > old.get(k, 0)}
        if more:
            found[lane] = more
    return found


def _findings(
    config: Config,
    canary: str,
    watched: _Watched,
    refused: Mapping[_Lane, dict[str, int]],
    *,
    limit_s: float,
) -> Iterator[Finding]:
    if watched.told_s is None:
        grace = f"assembly.grace_s is {config.assembly.grace_s:g}"
        text = f"{canary} was recorded, but not told within {limit_s:.0f} s"
        yield failure(AREA, text, f"{grace}: give --timeout more, or {_LOG}")
        return
    yield ok(AREA, f"{canary} was recorded, and told after {watched.told_s:.1f} s")
    if not watched.taken_s and not watched.waiting:
        yield ok(AREA, "nothing of it goes to any destination")
    for lane in sorted({*watched.taken_s, *watched.waiting}):
        yield _of_lane(lane, watched, refused.get(lane), limit_s=limit_s)


def _of_lane(
    lane: _Lane, watched: _Watched, refused: dict[str, int] | None, *, limit_s: float
) -> Finding:
    name, subject = lane[0], " ".join(lane)
    if refused:
        reasons = ", ".join(f"{count} ({reason})" for reason, count in refused.items())
        advice = f"{advice_for(reasons)}; `otelbridge deadletters list` shows what was refused"
        text = f"while it was on its way items were refused: {reasons}"
        return failure(AREA, text, advice, subject=subject)
    if lane in watched.taken_s:
        return ok(AREA, f"delivered after {watched.taken_s[lane]:.1f} s", subject=subject)
    text, error = f"not delivered within {limit_s:.0f} s", watched.errors.get(name)
    if error is not None:
        return failure(AREA, f"{text}: {error}", advice_for(error), subject=subject)
    advice = "is there a backlog before it? `otelbridge journal status`; or give --timeout more"
    return warning(AREA, text, advice, subject=subject)
