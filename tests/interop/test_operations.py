"""Backup and restore, step by step as docs/operations.md says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.interop.bridge import Bridge, run_command
from tests.interop.dashboards_workload import STORE, Workload, ledger
from tests.interop.programs import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop


def _requests(folder: Path) -> int:
    return sum(row["interceptions"] for row in ledger(folder, "user"))


def _await_requests(folder: Path, expected: int) -> None:
    def check() -> None:
        assert _requests(folder) == expected

    eventually(check)


def test_a_restored_journal_has_what_it_had_at_the_backup(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, store=STORE)
    first, second = (Workload(time.time_ns()) for _ in range(2))
    bridge.send(first.records)
    _await_requests(tmp_path, len(first.sent))

    run_command("journal", "backup", "copy.db", folder=tmp_path)
    run_command("journal", "verify", "copy.db", folder=tmp_path)
    bridge.send(second.records)
    _await_requests(tmp_path, len(first.sent) + len(second.sent))
    assert bridge.stop() == 0
    (tmp_path / "copy.db").replace(tmp_path / "journal.db")
    for path in tmp_path.glob("journal.db-*"):
        path.unlink()
    bridge.start()

    assert _requests(tmp_path) == len(first.sent)
    run_command("journal", "verify", folder=tmp_path)
    run_command("reconcile", folder=tmp_path)
    assert bridge.stop() == 0
