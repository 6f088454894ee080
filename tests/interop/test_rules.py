"""Promtool accepts the rules, and runs their tests."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.dashboards.told import ROOT, RULE_TESTS, RULES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop


def _run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=30
    )


def test_promtool_accepts_the_rules(promtool: Path) -> None:
    done = _run(promtool, "check", "rules", "--lint-fatal", RULES)

    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_example_that_names_the_rules(promtool: Path) -> None:
    done = _run(promtool, "check", "config", ROOT / "examples" / "prometheus.yml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout


def test_the_rules_do_what_their_tests_say(promtool: Path) -> None:
    done = _run(promtool, "test", "rules", RULE_TESTS)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_was_changed_fails_its_test(promtool: Path, tmp_path: Path) -> None:
    (tmp_path / RULES.name).write_text(RULES.read_text().replace("> 600\n", "> 60000\n"))
    (tmp_path / RULE_TESTS.name).write_text(RULE_TESTS.read_text())

    done = _run(promtool, "test", "rules", tmp_path / RULE_TESTS.name)

    assert done.returncode == 1
    assert "OtelbridgeDeliveryLagging" in done.stdout + done.stderr
