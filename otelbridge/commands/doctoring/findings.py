"""Findings: what was looked at, how it stands, and what to do about it."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import click

from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

# A sentence with a path and a server's words in it.
_MAX_TEXT = 600


class Level(StrEnum):
    """How something stands; the values are stable, scripts read them."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILURE: "red"}
_WIDTH = max(map(len, Level)) + 2


class Finding(NamedTuple):
    """One thing that was looked at. Its texts are safe to be shown.

    Attributes:
        area: What it belongs to: ``settings``, ``store``, ``tokens``, ``journal``, ``bridge``,
            ``destination``, ``clock``, ``certificate``, ``listeners``, ``gateway endpoint``,
            ``canary``, ``jaeger`` or ``prometheus``.
        subject: Which of them, as a destination's name; empty if there is one only.
        level: How it stands.
        message: One sentence.
        advice: What to do; empty if it is in order.
    """

    area: str
    subject: str
    level: Level
    message: str
    advice: str = ""


def ok(area: str, message: str, *, subject: str = "") -> Finding:
    """Return that something is in order."""
    return _finding(area, subject, Level.OK, message)


def warning(area: str, message: str, advice: str, *, subject: str = "") -> Finding:
    """Return that something should be looked at; the bridge does its work all the same."""
    return _finding(area, subject, Level.WARNING, message, advice)


def failure(area: str, message: str, advice: str, *, subject: str = "") -> Finding:
    """Return that something does not work."""
    return _finding(area, subject, Level.FAILURE, message, advice)


def _finding(area: str, subject: str, level: Level, message: str, advice: str = "") -> Finding:
    shown = (escaped(text, _MAX_TEXT) for text in (message, advice))
    return Finding(area, escaped(subject, _MAX_TEXT), level, *shown)


def has_failed(findings: Sequence[Finding]) -> bool:
    """Return whether anything does not work."""
    return any(each.level is Level.FAILURE for each in findings)


def print_line(finding: Finding) -> None:
    """Print a finding as people read it, in colours on a terminal."""
    place = f"{finding.area} {finding.subject}" if finding.subject else finding.area
    level = click.style(f"{finding.level.value:<{_WIDTH}}", fg=_COLOURS[finding.level])
    click.echo(f"{level}{place}: {finding.message}")
    if finding.advice:
        click.echo(f"{' ' * _WIDTH}→ {finding.advice}")


def print_summary(findings: Sequence[Finding]) -> None:
    """Print the closing line."""
    counts = _counts(findings)
    parts = (
        f"{counts[level]} {word}"
        for level, word in (("failure", "failed"), ("warning", "to be looked at"), ("ok", "ok"))
    )
    click.echo(f"\n{', '.join(parts)}")


def print_json(findings: Sequence[Finding]) -> None:
    """Print all findings and how many of each level there are."""
    shown = {
        "ok": not has_failed(findings),
        "summary": _counts(findings),
        "findings": [each._asdict() for each in findings],
    }
    click.echo(json.dumps(shown, indent=2))


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    return {level.value: sum(each.level is level for each in findings) for level in reversed(Level)}
