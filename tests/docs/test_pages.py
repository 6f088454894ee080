"""Documents: links lead somewhere, and make has the targets that are named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages

_IDS = [str(page.relative_to(ROOT)) for page in pages()]
_MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("page", pages(), ids=_IDS)
def test_a_link_leads_to_a_file_or_a_heading(page: Path) -> None:
    text = page.read_text()

    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked.read_text()), target


@pytest.mark.parametrize("page", pages(), ids=_IDS)
def test_a_make_target_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"(?:^ {4}|`)make ([a-z]+)", page.read_text(), re.MULTILINE)

    assert all(re.search(rf"^{target}:", _MAKEFILE, re.MULTILINE) for target in named), named


def _anchors(text: str) -> set[str]:
    """Return the headings' anchors as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
