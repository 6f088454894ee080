"""Rate limits: so many events a second of each source, in bounded memory.

A token bucket for each source, kept as one number: when the bucket will be
full again. Source: the generic cell rate algorithm (ITU-T I.371, annex A).
"""

from __future__ import annotations

from collections import OrderedDict

_NS = 1_000_000_000
# About 150 bytes each.
_MAX_SOURCES = 4096
# Whoever comes when all buckets are in use: no source has this name.
_OTHERS = "\0others"


class RateLimit:
    """Says which events are within the limit.

    Of a source that has been silent for long ``burst`` events at once are
    within it; then ``per_s`` a second are. An event beyond the limit counts
    for nothing: a source that never stops has its rate all the same.

    A source whose bucket is full is forgotten when room is needed, which
    changes nothing for it. If every bucket is in use, new sources share one.

    Args:
        per_s: Events a second.
        burst: Events at once.
        max_sources: Sources that are remembered, besides the shared bucket.
    """

    def __init__(self, *, per_s: float, burst: int, max_sources: int = _MAX_SOURCES) -> None:
        self._interval_ns = round(_NS / per_s)
        self._capacity_ns = burst * self._interval_ns
        self._max_sources = max_sources
        # By source, in the order of their last event; 0 or a time in the past: full.
        self._full_at_ns: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at_ns)

    def admits(self, source: str, *, now_ns: int) -> bool:
        """Count an event and return whether it is within the limit.

        Args:
            source: Where it comes from.
            now_ns: When; a clock that was set back costs a source one burst at most.
        """
        if source not in self._full_at_ns and not self._has_room(now_ns):
            source = _OTHERS
        empty_ns = now_ns + self._capacity_ns
        full_at_ns = min(max(self._full_at_ns.get(source, 0), now_ns), empty_ns)
        is_within = full_at_ns + self._interval_ns <= empty_ns
        self._full_at_ns[source] = full_at_ns + self._interval_ns * is_within
        self._full_at_ns.move_to_end(source)
        return is_within

    def _has_room(self, now_ns: int) -> bool:
        """Return whether one more source can be remembered, forgetting who has a full bucket."""
        while len(self._full_at_ns) >= self._max_sources:
            oldest = next(iter(self._full_at_ns))
            if self._full_at_ns[oldest] > now_ns:
                return False
            del self._full_at_ns[oldest]
        return True
