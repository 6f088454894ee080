"""docs/architecture.md describes the packages, layers and tables that there are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from otelbridge.journal.schema import open_database
from tests.docs.pages import ROOT

_TEXT = (ROOT / "docs/architecture.md").read_text()
_CODE = ROOT / "otelbridge"


def _contracts() -> list[dict[str, Any]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return contracts


def _first_column(head: str) -> list[str]:
    """Return the names in the first column of the table with this head."""
    table = _TEXT.partition(f"| {head} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_package_is_described_and_exists() -> None:
    packages = {
        path.stem
        for path in _CODE.iterdir()
        if (path.is_dir() and not path.name.startswith("__"))
        or (path.suffix == ".py" and path.name != "__init__.py")
    }

    assert sorted(_first_column("Package | What it does")) == sorted(packages)


def test_the_layers_are_those_that_are_checked() -> None:
    block = _TEXT.partition("```text\n")[2].partition("```")[0]

    layers = [line.replace("otelbridge.", "") for line in _contracts()[0]["layers"]]

    assert block.splitlines() == layers


def test_packages_are_described_in_the_order_of_their_layers() -> None:
    layers = " | ".join(_contracts()[0]["layers"]).replace("otelbridge.", "").split(" | ")

    assert [name for name in _first_column("Package | What it does") if name in layers] == layers


def test_the_contracts_are_those_that_are_checked() -> None:
    listed = _TEXT.partition("proves these contracts:\n\n")[2].partition("\n\n")[0]

    assert listed.splitlines() == [f"- {contract['name']}" for contract in _contracts()]


def test_the_journal_s_tables_are_those_of_its_database(tmp_path: Path) -> None:
    database = open_database(tmp_path / "journal.db")
    rows = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    database.close()

    assert sorted(_first_column("Table | A row is")) == sorted(name for (name,) in rows)


def test_the_picture_names_packages_that_exist() -> None:
    picture = _TEXT.partition("```mermaid\n")[2].partition("```")[0]

    named = set(re.findall(r"<b>(\w+)</b>", picture))

    assert named
    assert all((_CODE / name).is_dir() for name in named), named
