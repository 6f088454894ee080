"""Variants: what is told differs between destinations; equal ones are told once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otelbridge.telemetry.semconv import PROFILES, Profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.config.content import Capture
    from otelbridge.config.sections import (
        Config,
        DestinationConfig,
        Events,
        Semconv,
        TraceGrouping,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to tell an interception, and whom it is told to.

    Attributes:
        semconv: Name of the profile.
        content: Where content may stand.
        events: Whether prompts, tools and thoughts are span events or log records.
        trace_grouping: What a trace is.
        traces: Bit mask of the destinations that are sent spans.
        logs: Bit mask of the destinations that are sent log records.
        is_spared: Whether these destinations would be told content, were there space.
    """

    semconv: Semconv
    content: Capture
    events: Events
    trace_grouping: TraceGrouping
    traces: int
    logs: int
    is_spared: bool = False

    @property
    def destinations(self) -> int:
        """Return the bit mask of all destinations."""
        return self.traces | self.logs

    @property
    def profile(self) -> Profile:
        """Return the profile."""
        return PROFILES[self.semconv]

    @property
    def has_span_content(self) -> bool:
        """Return whether spans may carry content."""
        return self.content in ("SPAN_ONLY", "SPAN_AND_EVENT")

    @property
    def has_event_content(self) -> bool:
        """Return whether events may carry content."""
        return self.content in ("EVENT_ONLY", "SPAN_AND_EVENT")


def variants_of(config: Config, bits: Mapping[str, int]) -> tuple[Variant, ...]:
    """Return the distinct variants of a configuration.

    Args:
        config: The settings.
        bits: Each destination's bit (``1 << i``), by its name. Those that are
            sent neither traces nor logs need none.
    """
    masks: dict[tuple[Semconv, Capture, Events, TraceGrouping], tuple[int, int]] = {}
    for destination in config.destination:
        traces = bits[destination.name] if "traces" in destination.signals else 0
        logs = bits[destination.name] if "logs" in destination.signals else 0
        if traces or logs:
            options = options_of(config, destination)
            before = masks.get(options, (0, 0))
            masks[options] = (before[0] | traces, before[1] | logs)
    return tuple(
        Variant(
            semconv=options[0],
            content=options[1],
            events=options[2],
            trace_grouping=options[3],
            traces=mask[0],
            logs=mask[1],
        )
        for options, mask in masks.items()
    )


def profile_of(config: Config, destination: DestinationConfig) -> Profile:
    """Return the profile that a destination is sent."""
    return PROFILES[destination.semconv or config.telemetry.semconv]


def profiles_of(config: Config) -> tuple[Profile, ...]:
    """Return every profile whose metrics are booked: those of /metrics and of all destinations."""
    found = {config.telemetry.semconv: PROFILES[config.telemetry.semconv]}
    for destination in config.destination:
        profile = profile_of(config, destination)
        found.setdefault(destination.semconv or config.telemetry.semconv, profile)
    return tuple(found.values())


def options_of(
    config: Config, destination: DestinationConfig
) -> tuple[Semconv, Capture, Events, TraceGrouping]:
    """Return what a destination is told: its own options, or the global ones."""
    told = config.telemetry
    return (
        destination.semconv or told.semconv,
        destination.content or config.content.capture,
        destination.events or told.events,
        destination.trace_grouping or told.trace_grouping,
    )
