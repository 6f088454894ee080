"""What the sink counts, and the benchmark compares with what it sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SinkCounts:
    """What arrived so far.

    Attributes:
        requests: Export calls of any signal.
        spans: All spans.
        chat_spans: Spans named ``chat ...``: one an interception is right.
        interceptions: Different trace ids among the chat spans.
        id_sum: Those trace ids as numbers, added up.
    """

    requests: int = 0
    spans: int = 0
    chat_spans: int = 0
    interceptions: int = 0
    id_sum: int = 0
