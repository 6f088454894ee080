"""A journal on a real file, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otelbridge.journal import SqliteJournal
from tests.journal.journals import Reopen


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture
def reopened(path: Path) -> Iterator[Reopen]:
    """Yield what opens the journal anew; it is open."""
    reopen = Reopen(path)
    yield reopen
    reopen.journal.close()


@pytest.fixture
def journal(reopened: Reopen) -> SqliteJournal:
    """Return the journal, open and empty."""
    return reopened.journal
