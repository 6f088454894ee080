"""What the rounds say together: numbers for machines, a table for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.rounds import Contender

GATE: Final = 0.6
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSummary:
    """One server's numbers over all rounds; rates and shares are medians."""

    rates: list[float]
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_call: float
    memory_mib: float
    peak_memory_mib: float
    generator_share: float
    elsewhere_cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole measurement.

    Attributes:
        ratios: The bridge's rate in parts of the echo's, a round.
        ratio: Their median, which has to reach the gate.
        generator_ceiling: Calls a second that the generator reached where answers cost nothing.
        fsync_ms: What one write and fsync cost beside the journal.
        interceptions: How many the bridge acknowledged.
        chat_spans: How many chat spans the sink got.
        is_told: Whether these were one for each.
        backlogs: Interceptions not told yet at the end of each round's load.
        drains_s: How long telling them took.
    """

    echo: ServerSummary
    bridge: ServerSummary
    ratios: list[float]
    ratio: float
    generator_ceiling: float
    fsync_ms: float
    interceptions: int
    chat_spans: int
    is_told: bool
    backlogs: list[int]
    drains_s: list[float]

    @property
    def is_passed(self) -> bool:
        """Whether the bridge is fast enough and told everything."""
        return self.ratio >= GATE and self.is_told

    def as_dict(self) -> dict[str, object]:
        """All numbers, as JSON can hold them."""
        return {**asdict(self), "gate": GATE, "is_passed": self.is_passed}


def build_report(echo: Contender, bridge: Contender, *, ceiling: float, fsync_s: float) -> Report:
    """Put the rounds of both together."""
    ratios = [
        ours.load.rate / bare.load.rate
        for bare, ours in zip(echo.rounds, bridge.rounds, strict=True)
    ]
    return Report(
        echo=_summarise(echo),
        bridge=_summarise(bridge),
        ratios=ratios,
        ratio=median(ratios),
        generator_ceiling=ceiling,
        fsync_ms=fsync_s * 1e3,
        interceptions=bridge.interceptions,
        chat_spans=bridge.counts.chat_spans,
        is_told=bridge.is_told,
        backlogs=[one.backlog for one in bridge.rounds],
        drains_s=[one.drain_s for one in bridge.rounds],
    )


def format_report(report: Report, *, second: str = "bridge") -> str:
    """The table that ends a run; ``second`` is what the second server is called."""
    verdict = "" if report.ratio >= GATE else f", under the gate of {GATE}"
    lines = [
        f"{format_comparison(report, second=second)}{verdict}",
        f"generator alone: {report.generator_ceiling:,.0f} calls/s",
        f"one write and fsync: {report.fsync_ms:.2f} ms",
    ]
    return "\n".join([*lines, *_format_telling(report)])


def format_comparison(report: Report, *, second: str = "bridge") -> str:
    """The servers side by side, and the ratio of their rates."""
    rows = [
        ("acknowledged calls/s", "rate", ",.0f"),
        ("latency p50, ms", "p50_ms", ".1f"),
        ("latency p99, ms", "p99_ms", ".1f"),
        ("server CPU, µs a call", "cpu_us_per_call", ".0f"),
        ("server memory, MiB", "memory_mib", ".0f"),
        ("    at most, MiB", "peak_memory_mib", ".0f"),
        ("load generator, cores", "generator_share", ".2f"),
        ("other processes, cores", "elsewhere_cores", ".2f"),
    ]
    lines = [f"{'':24}{'echo':>10}{second:>10}"]
    for label, name, style in rows:
        bare, ours = getattr(report.echo, name), getattr(report.bridge, name)
        lines.append(f"{label:24}{bare:>10{style}}{ours:>10{style}}")
    spread = f"[{min(report.ratios):.2f}-{max(report.ratios):.2f}]"
    rounds = len(report.ratios)
    return "\n".join([*lines, "", f"ratio {report.ratio:.2f} {spread}, median of {rounds} rounds"])


def _format_telling(report: Report) -> list[str]:
    if not report.chat_spans:
        return []
    verdict = "" if report.is_told else ": NOT each exactly once"
    missing, late_s = report.backlogs, report.drains_s
    spans, interceptions = report.chat_spans, report.interceptions
    return [
        f"told: {spans:,} chat spans of {interceptions:,} interceptions{verdict}",
        f"not told when a load ended: {median(missing):,.0f}, at most {max(missing):,}",
        f"until all were told: {median(late_s):.1f} s, at most {max(late_s):.1f} s",
    ]


def _summarise(contender: Contender) -> ServerSummary:
    rounds = contender.rounds
    latencies_s = sorted(chain.from_iterable(one.load.latencies_s for one in rounds))
    rates = [one.load.rate for one in rounds]
    return ServerSummary(
        rates=rates,
        rate=median(rates),
        p50_ms=latencies_s[len(latencies_s) // 2] * 1e3,
        p99_ms=latencies_s[len(latencies_s) * 99 // 100] * 1e3,
        cpu_us_per_call=median(one.cpu_s / one.load.calls for one in rounds) * 1e6,
        memory_mib=rounds[-1].memory_bytes / _MIB,
        peak_memory_mib=rounds[-1].peak_memory_bytes / _MIB,
        generator_share=median(one.load.generator_share for one in rounds),
        elsewhere_cores=median(one.elsewhere for one in rounds),
    )
