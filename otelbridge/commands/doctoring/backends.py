"""Backends: what Jaeger and Prometheus know of the bridge."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import httpx2

from otelbridge.commands.doctoring.clock import host_of
from otelbridge.commands.doctoring.findings import Finding, failure, ok, warning
from otelbridge.telemetry.semconv import CANARY

if TYPE_CHECKING:
    from otelbridge.commands.doctoring.canary import Show

_LIMIT_S = 5.0
_STEP_S = 0.2
# Version 2's API, then version 1's, which others speak, too.
_TRACE_PATHS = ("/api/v3/traces/{0}", "/api/traces/{0}")
# The time of the newest sample, by Prometheus' own clock.
_AGE = "time() - max(timestamp(otelbridge_journal_bytes))"
# Metrics are exported or scraped once a minute, as a rule.
_STALE_S = 150


def url_option(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return the URL of a backend.

    Raises:
        BadParameter: If it is none. It may hold a password: it is not repeated.
    """
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise click.BadParameter("not of the form http(s)://HOST[:PORT][/PATH]", param=option)
    return value.rstrip("/")


async def jaeger_findings(url: str, canary: str, *, limit_s: float, show: Show) -> list[Finding]:
    """Look a canary's trace up.

    Args:
        url: Where Jaeger's query service is.
        canary: The canary's id.
        limit_s: How long to wait for it, in seconds.
        show: Shows how far things have come.
    """
    trace = canary.replace("-", "")
    show(f"waiting for the trace in Jaeger at {host_of(url)}")
    began_s = time.monotonic()
    problem = ""
    async with httpx2.AsyncClient(trust_env=False, timeout=_LIMIT_S) as client:
        while True:
            for path in _TRACE_PATHS:
                problem = await _look(client, f"{url}{path.format(trace)}")
                if not problem:
                    text = f"it has the canary's span, in trace {trace}"
                    return [ok("jaeger", text, subject=host_of(url))]
            if time.monotonic() - began_s > limit_s:
                break
            await asyncio.sleep(_STEP_S)
    text = f"it has no span of trace {trace}: {problem}"
    advice = "does any destination lead there? Is the URL that of its query service (port 16686)?"
    return [failure("jaeger", text, advice, subject=host_of(url))]


async def _look(client: httpx2.AsyncClient, url: str) -> str:
    """Return why there is no canary; empty if there is."""
    try:
        answer = await client.get(url)
    except httpx2.HTTPError as error:
        return f"no answer: {_reason(error)}"
    if not answer.is_success:
        return f"it answers {answer.status_code}"
    return "" if CANARY in answer.text else "the answer has no canary"


async def prometheus_findings(url: str) -> list[Finding]:
    """Look whether the bridge's metrics are there, and fresh.

    Args:
        url: Where Prometheus is, or what speaks its API.
    """
    subject = host_of(url)
    try:
        age_s = await _age_s(url)
    except (httpx2.HTTPError, KeyError, IndexError, TypeError, ValueError) as error:
        text = f"it cannot be asked: {_reason(error)}"
        advice = "is the URL right, and does Prometheus run?"
        return [failure("prometheus", text, advice, subject=subject)]
    if age_s is None:
        advice = (
            "does it scrape /metrics (look at its /targets), or is it a destination of metrics?"
        )
        text = "it has no metric of otelbridge of the last minutes"
        return [failure("prometheus", text, advice, subject=subject)]
    if age_s > _STALE_S:
        advice = "look at its /targets, or at the destination of metrics"
        text = f"otelbridge's newest metric is {age_s:.0f} s old"
        return [warning("prometheus", text, advice, subject=subject)]
    return [ok("prometheus", f"otelbridge's newest metric is {age_s:.0f} s old", subject=subject)]


def _reason(error: Exception) -> str:
    """Return what went wrong, without the URL: it may hold a password."""
    if isinstance(error, httpx2.HTTPStatusError):
        return f"it answers {error.response.status_code}"
    if isinstance(error, httpx2.HTTPError):
        return str(error) or type(error).__name__
    return "the answer is none of its API"


async def _age_s(url: str) -> float | None:
    async with httpx2.AsyncClient(trust_env=False, timeout=_LIMIT_S) as client:
        answer = await client.get(f"{url}/api/v1/query", params={"query": _AGE})
    answer.raise_for_status()
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return float(result[0]["value"][1]) if result else None
