"""Changelog fragments: towncrier passes over a file whose name it does not know."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

_FRAGMENTS = sorted(path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md")
_README = (ROOT / "changelog.d/README.md").read_text()


def _kinds() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [kind["directory"] for kind in project["tool"]["towncrier"].get("type", [])]


@pytest.mark.parametrize("path", _FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_has_an_issue_and_a_kind(path: Path) -> None:
    issue, kind, *rest = path.name.split(".")

    assert issue.isdigit()
    assert kind in _kinds()
    assert rest[-1] == "md"


def test_the_kinds_that_are_described_are_those_that_are_built() -> None:
    described = re.search(r"<issue>\.<([a-z|]+)>\.md", _README)

    assert described
    assert described[1].split("|") == _kinds()


def test_releases_are_written_below_the_marker() -> None:
    assert "<!-- towncrier release notes start -->" in (ROOT / "CHANGELOG.md").read_text()
