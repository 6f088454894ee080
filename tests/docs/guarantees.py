"""The table of docs/guarantees.md, made from the list of faults and the markers of the tests.

``python -m tests.docs.guarantees`` writes it into the page; a test fails until that is done.
"""

from __future__ import annotations

from collections import Counter

from tests.docs.pages import ROOT
from tests.docs.telemetry import BLOCK
from tests.faults import FAULTS, OUTCOMES, proofs

PAGE = ROOT / "docs/guarantees.md"


def written(page: str) -> str:
    """Return the page with its table as it should be."""
    return BLOCK.sub(lambda block: f"{block[1]}{_table()}{block[4]}", page)


def _table() -> str:
    rows = [
        f"| {number} | {FAULTS[number]} | {outcome} | {_tests(number)} |"
        for number, outcome in OUTCOMES.items()
    ]
    return "\n".join(
        ["| # | What goes wrong | What comes of it | Tests |", "|---|---|---|---|", *rows, ""]
    )


def _tests(number: int) -> str:
    """Return links to the files of a fault's tests, each with how many there are in it."""
    files = Counter(test.partition("::")[0] for test in proofs()[number])
    return ", ".join(
        f"[{path.removeprefix('tests/').removesuffix('.py')}](../{path})"
        + (f" ({count})" if count > 1 else "")
        for path, count in sorted(files.items())
    )


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
