"""Clocks: this machine's, held against those of servers that answer over HTTP.

Source: RFC 9110, section 6.6.1 (Date). It has whole seconds.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2

from otelbridge.commands.doctoring.findings import Finding, failure, ok, warning
from otelbridge.delivery.credentials import read_credentials
from otelbridge.delivery.endpoints import endpoint_of, signals_of
from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelbridge.commands.doctoring.running import Running
    from otelbridge.config import Config, DestinationConfig

AREA = "clock"
_LIMIT_S = 5.0
_OFF_S = 5.0
_FAR_OFF_S = 60.0
_HALF_S = 0.5  # a Date has whole seconds
_NS = 1_000_000_000
_ADVICE = "have both machines follow a time server (NTP)"


async def clock_findings(config: Config, others: Iterable[str]) -> list[Finding]:
    """Return how this machine's clock stands to those of servers.

    Args:
        config: The settings: its destinations over HTTP are asked for their root,
            without any header of theirs.
        others: URLs of other servers.
    """
    named = [(each.name, each) for each in config.destination if each.protocol != "grpc"]
    asked = [_of_destination(name, each) for name, each in named]
    asked += [_of_backend(url) for url in others]
    found = [each for each in await asyncio.gather(*asked) if each is not None]
    if found:
        return found
    text = "no server tells its time: this machine's clock was compared with none"
    return [ok(AREA, text)]


def own_clock_finding(running: Running) -> Finding:
    """Return whether this machine's clock was set since the bridge was started."""
    skew_s = abs(running.now_ns - time.time_ns()) / _NS
    if skew_s < _OFF_S:
        return ok(AREA, "the bridge's clock is this machine's", subject="bridge")
    text = f"the bridge's clock is {skew_s:.0f} s from this machine's, which was set meanwhile"
    return warning(
        AREA, text, "restart the bridge: it keeps its clock as it runs", subject="bridge"
    )


def standing(skew_s: float, subject: str) -> Finding:
    """Return how a difference of clocks stands."""
    if abs(skew_s) <= _OFF_S:
        return ok(AREA, f"within {_OFF_S:g} s of this machine's", subject=subject)
    text = f"it is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} this machine's"
    if abs(skew_s) > _FAR_OFF_S:
        return failure(AREA, text, _ADVICE, subject=subject)
    return warning(AREA, text, _ADVICE, subject=subject)


def skew_of(date: str, *, before_s: float, after_s: float) -> float:
    """Return how far ahead of ours a server's clock is at least, in seconds; behind is negative.

    Args:
        date: Its Date header.
        before_s: Our time when the request was sent, in seconds since the Unix epoch.
        after_s: Our time when the answer came.

    Raises:
        ValueError: If the header is no date.
    """
    middle_s = parsedate_to_datetime(date).timestamp() + _HALF_S
    doubt_s = _HALF_S + (after_s - before_s) / 2
    skew_s = middle_s - (before_s + after_s) / 2
    return max(skew_s - doubt_s, 0.0) if skew_s > 0 else min(skew_s + doubt_s, 0.0)


def host_of(url: str) -> str:
    """Return host and port of a URL: what else is in it may be a secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    return f"{host}:{parts.port}" if parts.port else host


async def _of_destination(name: str, config: DestinationConfig) -> Finding | None:
    url = urlsplit(endpoint_of(config, signals_of(config)[0]))
    try:
        context = read_credentials(config).context
    except ConfigError:
        return None  # told with the settings
    return await _of_url(f"destination {name}", f"{url.scheme}://{url.netloc}/", context)


async def _of_backend(url: str) -> Finding | None:
    root = f"{urlsplit(url).scheme}://{host_of(url)}/"
    return await _of_url(host_of(url), root, ssl.create_default_context())


async def _of_url(subject: str, url: str, context: ssl.SSLContext) -> Finding | None:
    """Return how a server's clock stands; None if it does not tell."""
    async with httpx2.AsyncClient(verify=context, trust_env=False, timeout=_LIMIT_S) as client:
        before_s = time.time()
        try:
            date = (await client.head(url)).headers["date"]
            skew_s = skew_of(date, before_s=before_s, after_s=time.time())
        except (httpx2.HTTPError, KeyError, ValueError):
            return None
    return standing(skew_s, subject)
