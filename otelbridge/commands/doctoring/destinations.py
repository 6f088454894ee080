"""Destinations: what they answer, and what to do about it."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING

from otelbridge.commands.doctoring.findings import Finding, failure, ok, warning
from otelbridge.delivery.credentials import read_credentials
from otelbridge.delivery.endpoints import signals_of
from otelbridge.delivery.lane import Lane
from otelbridge.delivery.otlp_grpc import GrpcExporter
from otelbridge.delivery.otlp_http import HttpExporter
from otelbridge.delivery.outcomes import Ok
from otelbridge.delivery.timing import Timing
from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otelbridge.commands.doctoring.running import Running
    from otelbridge.config import Config, DestinationConfig
    from otelbridge.delivery.credentials import Credentials
    from otelbridge.delivery.outcomes import Exporter, Outcome
    from otelbridge.domain.ports import Signal

AREA = "destination"
#: Time limit of a request that asks a destination, in seconds: a person waits for it.
LIMIT_S = 10.0
# An export request without anything in it: all fields of protobuf are optional.
_NOTHING = b""
_ADVICE = (
    (
        ("unauthenticated", "permission_denied", "http_401", "http_403", "http_407"),
        "it does not take what it is shown: look at `headers` and `tls` of the destination",
    ),
    (
        ("unavailable", "connection", "deadline_exceeded", "timeout"),
        "is it running, and are `endpoint`, `protocol` and `tls` of the destination right?",
    ),
    (
        ("unimplemented", "not_found", "http_404", "http_405", "http_no_otlp"),
        "something else than OTLP answers there: look at `endpoint`, `protocol` and `signals`",
    ),
    (
        ("exhausted", "http_429", "http_5", "http_413"),
        "it has too much to do or takes less at a time: look at its own limits and log",
    ),
)
_ELSE = "its own log says more"


def advice_for(error: str) -> str:
    """Return what to do about a destination's error.

    Args:
        error: It, with its reason; see `otelbridge.delivery.outcomes.Failure`.
    """
    for words, advice in _ADVICE:
        if any(word in error for word in words):
            return advice
    return _ELSE


def told_findings(config: Config, running: Running) -> Iterator[Finding]:
    """Yield what the running bridge says of its destinations."""
    if not config.destination:
        yield warning(AREA, "there is none: nothing is exported", "add a [[destination]]")
    for name, error in running.destinations.items():
        if error is None:
            yield ok(AREA, "it took what it was sent last, or nothing was sent yet", subject=name)
        else:
            yield failure(AREA, error, advice_for(error), subject=name)
    in_use, named = set(running.destinations), {each.name for each in config.destination}
    for name in sorted(in_use ^ named):
        text = "the settings name it, the running bridge does not know it"
        if name in in_use:
            text = "the running bridge delivers to it, the settings do not name it any more"
        advice = "restart the bridge: destinations count from the next start"
        yield warning(AREA, text, advice, subject=name)


async def probed(config: Config) -> list[Finding]:
    """Ask each destination directly, with a request that has nothing in it."""
    if not config.destination:
        return [warning(AREA, "there is none: nothing is exported", "add a [[destination]]")]
    found = await asyncio.gather(*(_probe(each) for each in config.destination))
    return [finding for each in found for finding in each]


async def _probe(config: DestinationConfig) -> list[Finding]:
    config = config.model_copy(update={"timeout_s": min(config.timeout_s, LIMIT_S)})
    try:
        shown = read_credentials(config)
        exporter = _exporter(config, shown)
    except ConfigError:
        return []  # told with the settings
    signals, secrets = signals_of(config), shown.headers.values()
    try:
        asked = (_ask(config, each, exporter, secrets) for each in signals)
        outcomes = await asyncio.gather(*asked)
    finally:
        await exporter.close()
    return list(_findings(config.name, zip(signals, outcomes, strict=True)))


def _findings(name: str, outcomes: Iterable[tuple[Signal, Outcome]]) -> Iterator[Finding]:
    """Yield what came of each signal; those that are answered the same are told as one."""
    signals: dict[Outcome, list[str]] = {}
    for signal, outcome in outcomes:
        signals.setdefault(outcome, []).append(signal.value)
    for outcome, names in signals.items():
        subject = f"{name} {', '.join(names)}"
        if isinstance(outcome, Ok):
            yield ok(AREA, "it takes a request with nothing in it", subject=subject)
        else:
            yield failure(AREA, str(outcome), advice_for(outcome.reason), subject=subject)


def _exporter(config: DestinationConfig, shown: Credentials) -> Exporter:
    user_agent = f"otelbridge-doctor/{version('otelbridge')}"
    if config.protocol == "grpc":
        return GrpcExporter(config, user_agent=user_agent, credentials=shown)
    return HttpExporter(config, user_agent=user_agent, now_ns=Timing().now_ns, credentials=shown)


async def _ask(
    config: DestinationConfig, signal: Signal, exporter: Exporter, secrets: Iterable[str]
) -> Outcome:
    lane = Lane(
        config.name,
        signal,
        exporter=exporter,
        count=_nobody_counts,
        timing=Timing(),
        secrets=secrets,  # a server may repeat what it was shown
    )
    return await lane.export(_NOTHING)


def _nobody_counts(instrument: str, *values: str, amount: int = 1) -> None:
    """Count nothing: there is no ledger here."""
