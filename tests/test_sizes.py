"""No function is longer than 50 lines and no file longer than 400, whatever it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_FOLDERS = ("otelbridge", "dashboards", "benchmarks", "fuzz", "tests")
_GENERATED = ROOT / "otelbridge" / "proto"
_FUNCTION, _FILE = 50, 400


def too_long(text: str) -> list[str]:
    """Return what is longer than allowed, with its lines."""
    found = [
        (each.name, (each.end_lineno or 0) - each.lineno + 1)
        for each in ast.walk(ast.parse(text))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lines = len(text.splitlines())
    return [
        *(f"{name}: {count} lines" for name, count in found if count > _FUNCTION),
        *([f"file: {lines} lines"] if lines > _FILE else []),
    ]


@pytest.mark.parametrize("folder", _FOLDERS)
def test_functions_and_files_are_short(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*.py") if _GENERATED not in path.parents]

    found = {str(path.relative_to(ROOT)): too_long(path.read_text()) for path in files}

    assert {name: parts for name, parts in found.items() if parts} == {}


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_what_is_a_line_too_long_is_found(keyword: str) -> None:
    function = f"class A:\n    {keyword} a(self) -> None:\n" + "        pass\n" * (_FUNCTION - 1)

    assert too_long(function) == []
    assert too_long(f"{function}        pass\n") == ["a: 51 lines"]
    assert too_long("\n" * _FILE) == []
    assert too_long("\n" * (_FILE + 1)) == ["file: 401 lines"]
