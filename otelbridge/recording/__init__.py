"""Recording: check, journal, assemble, tell. A reply is a promise."""

from otelbridge.recording.group_commit import GroupCommit
from otelbridge.recording.recording import Recording
from otelbridge.recording.relief import Limits
from otelbridge.recording.values import JournalStats, Received, Result, Side, Submission

__all__ = [
    "GroupCommit",
    "JournalStats",
    "Limits",
    "Received",
    "Recording",
    "Result",
    "Side",
    "Submission",
]
