"""Every real capture in every profile, content mode and grouping, against what it once came to.

A golden file has an entry for each variant: how many spans and log records there are, a digest
of all of them (but of what they cost: `tests/e2e/golden` has that), and how often each attribute
is told. The first entry has them all, the others what is different from it. That all of it is
right is the oracle's business (`tests.telemetry.test_oracle`).

`OTELBRIDGE_UPDATE_GOLDEN=1` writes the files anew: read the difference before committing it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.telemetry.test_oracle import CAPTURES, LATER_NS, without_cost
from tests.telemetry.through_core import EVERY, Options, Told, requests_of, tell

GOLDEN = Path(__file__).parent / "golden"
BASE = Options("v1_41")
ORDER = (BASE, *(each for each in EVERY if each != BASE))


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_a_capture_is_told_in_every_variant_as_it_was_before(capture: Path, tmp_path: Path) -> None:
    told = tell(tmp_path, requests_of(capture), EVERY, now_ns=LATER_NS)

    golden = GOLDEN / f"{capture.stem}.txt"
    if os.environ.get("OTELBRIDGE_UPDATE_GOLDEN"):
        golden.write_text(report(told))
    assert report(told) == golden.read_text()


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_neither_order_nor_repeats_nor_commits_change_any_variant(
    capture: Path, tmp_path: Path
) -> None:
    requests = requests_of(capture)
    chance = random.Random(capture.stem)
    sent = requests + chance.sample(requests, len(requests) // 3)
    chance.shuffle(sent)

    told = tell(tmp_path, sent, EVERY, now_ns=LATER_NS, at_once=7)

    assert report(told) == (GOLDEN / f"{capture.stem}.txt").read_text()


def test_every_capture_has_its_golden_file_and_they_are_small() -> None:
    files = sorted(GOLDEN.iterdir())

    assert [path.stem for path in files] == [path.stem for path in CAPTURES]
    assert sum(path.stat().st_size for path in files) < 100_000


def test_events_are_the_same_wherever_they_stand(tmp_path: Path) -> None:
    """As span events alone or log records alone they are what the form with both has."""
    variants = [
        BASE._replace(events=each, content="EVENT_ONLY") for each in ("both", "span", "log")
    ]

    told = tell(tmp_path, requests_of(CAPTURES[0]), variants, now_ns=LATER_NS)

    both, spans, logs = (told[each] for each in variants)
    assert spans == (both.spans, [])
    assert logs.logs == both.logs
    assert logs.spans == {key: {**span, "events": []} for key, span in both.spans.items()}


def report(told: dict[Options, Told]) -> str:
    """Return what was told as the golden files have it."""
    base = attributes_of(told[BASE])
    lines: list[str] = []
    for options in ORDER:
        found = told[options]
        lines.append(
            f"{' '.join(options[:3])}: {len(found.spans)} spans, {len(found.logs)} log records,"
            f" digest {digest(found)}"
        )
        counted = attributes_of(found)
        before: Counter[str] = Counter() if options == BASE else base
        lines += [
            f"  {name} {counted[name] - before[name]:+}"
            for name in sorted(counted.keys() | before.keys())
            if counted[name] != before[name]
        ]
    return "\n".join([*lines, ""])


def digest(told: Told) -> str:
    """Return what changes with anything that is told, cost excepted."""
    spans = {where: without_cost(span) for where, span in told.spans.items()}
    text = json.dumps([spans, told.logs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def attributes_of(told: Told) -> Counter[str]:
    """Return how often each attribute is told, and of what."""
    return Counter(
        f"{name.partition(' ')[0]}: {key}" for name, keys in _carriers(told) for key in keys
    )


def _carriers(told: Told) -> Iterator[tuple[str, list[str]]]:
    for span in told.spans.values():
        yield span["name"], [*without_cost(span)["attributes"]]
    for event in chain(*(span["events"] for span in told.spans.values())):
        yield event["name"], [*event["attributes"]]
