"""What the rounds of gateways say together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Final

RATIO_GATE: Final = 0.6
CPU_GATE_US: Final = 60.0
_KIB: Final = 1024


@dataclass(slots=True)
class Turns:
    """What one server did in its turns; a number a round.

    Attributes:
        rate: Calls a second.
        p50_ms: Half of the calls took no longer.
        p99_ms: 99 in 100 took no longer.
        cpu_us: CPU time a call, all threads and processes of the server.
        own_cpu_us: The same of the process that serves, without the core.
    """

    rate: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    own_cpu_us: list[float] = field(default_factory=list)

    def medians(self) -> dict[str, float]:
        """Return the median of each."""
        return {name: median(values) for name, values in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole measurement.

    Attributes:
        client: What made the calls.
        nothing: Servicers that do nothing.
        bridge: The bridge.
        grpc: The bridge over gRPC.
        dials_per_s: Sessions opened in a second, one after the other.
        dial_cpu_us: CPU time of the server for each.
        idle_bytes: What an idle session takes of the server's memory.
        is_told: Whether the sink got one span of every interception.
    """

    client: str
    nothing: Turns
    bridge: Turns
    grpc: Turns
    dials_per_s: float
    dial_cpu_us: float
    idle_bytes: float
    is_told: bool

    @property
    def ratios(self) -> list[float]:
        """The bridge's rate in parts of that of servicers that do nothing, a round."""
        pairs = zip(self.bridge.rate, self.nothing.rate, strict=True)
        return [ours / bare for ours, bare in pairs]

    @property
    def problems(self) -> list[str]:
        """What is not as it must be."""
        ratio, cpu_us = median(self.ratios), median(self.nothing.cpu_us)
        found = []
        if ratio < RATIO_GATE:
            found.append(f"ratio {ratio:.2f}, under the gate of {RATIO_GATE}")
        if cpu_us > CPU_GATE_US:
            found.append(f"{cpu_us:.0f} µs a call below the servicers, at most {CPU_GATE_US:.0f}")
        if not self.is_told:
            found.append("the sink was NOT told each interception exactly once")
        return found

    def as_dict(self) -> dict[str, object]:
        """All numbers, as JSON can hold them."""
        gates = {"ratio_gate": RATIO_GATE, "cpu_gate_us": CPU_GATE_US}
        return {**asdict(self), **gates, "ratios": self.ratios, "problems": self.problems}

    def as_text(self) -> str:
        """A table for people."""
        columns = [each.medians() for each in (self.nothing, self.bridge, self.grpc)]
        rows = [
            ("acknowledged calls/s", "rate", ",.0f"),
            ("latency p50, ms", "p50_ms", ".1f"),
            ("latency p99, ms", "p99_ms", ".1f"),
            ("server CPU, µs a call", "cpu_us", ".0f"),
            ("    without the core", "own_cpu_us", ".0f"),
        ]
        lines = [f"{'gateways':24}{'nothing':>10}{'bridge':>10}{'gRPC':>10}"]
        for label, name, style in rows:
            lines.append(f"{label:24}" + "".join(f"{each[name]:>10{style}}" for each in columns))
        spread = f"[{min(self.ratios):.2f}-{max(self.ratios):.2f}]"
        return "\n".join(
            [
                *lines,
                "",
                f"ratio {median(self.ratios):.2f} {spread}, median of {len(self.ratios)} rounds",
                f"calls made by: {self.client}; over gRPC by the generator of the pipeline",
                f"sessions opened: {self.dials_per_s:,.0f}/s, {self.dial_cpu_us:.0f} µs each",
                f"an idle session: {self.idle_bytes / _KIB:.0f} KiB",
                *self.problems,
            ]
        )
