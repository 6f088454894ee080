"""Recording: check, journal, assemble, tell. A reply is a promise."""

from otelbridge.recording.group_commit import GroupCommit
from otelbridge.recording.recording import JournalStats, Received, Recording, Side, Submission

__all__ = ["GroupCommit", "JournalStats", "Received", "Recording", "Side", "Submission"]
