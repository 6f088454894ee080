"""The journal: acknowledged records, what will be told of them, and the ledger, on disk."""

from otelbridge.journal.sqlite import SqliteJournal
from otelbridge.journal.usage import UsageRow, read_usage

__all__ = ["SqliteJournal", "UsageRow", "read_usage"]
