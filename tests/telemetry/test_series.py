"""The limit of series: the first are admitted, for good, and the rest is told under _OTHER."""

from __future__ import annotations

import pytest

from otelbridge.domain.ledger import Changes, Distribution
from otelbridge.telemetry.instrument import Instrument
from otelbridge.telemetry.instruments import INSTRUMENTS
from otelbridge.telemetry.series import DEFAULT_LIMIT, SeriesLimit, overflow_key
from tests.telemetry.records import ASKED, ENDED, PROMPTED, STARTED, USED, assembled, changed
from tests.telemetry.told import make_config, make_teller, tell

OTHER = ("aibridge.prompts", ("_OTHER", "_OTHER", "_OTHER"))
OVERFLOW = ("otelbridge.series.overflow", ("aibridge.prompts",))


def prompts(model: str) -> tuple[str, tuple[str, ...]]:
    return ("aibridge.prompts", ("anthropic", model, "Claude Code"))


def admitted(limit: SeriesLimit, changes: Changes, *models: str) -> list[str]:
    """Book a prompt of each model; return the models that were told."""
    told = []
    for model in models:
        name, values = limit.admitted(prompts(model), changes)
        changes.count(name, *values)
        told.append(values[1])
    return told


def test_the_first_series_are_admitted_and_the_rest_is_counted() -> None:
    limit, changes = SeriesLimit(2), Changes()

    told = admitted(limit, changes, "a", "b", "a", "c", "b", "c")

    assert told == ["a", "b", "a", "_OTHER", "b", "_OTHER"]
    assert changes.series == {prompts("a"): 2, prompts("b"): 2, OTHER: 2, OVERFLOW: 2}


def test_what_was_committed_stays_and_takes_its_room() -> None:
    limit, first, second = SeriesLimit(2), Changes(), Changes()
    admitted(limit, first, "a")
    limit.committed(first)

    assert admitted(limit, second, "b", "a", "c") == ["b", "a", "_OTHER"]


def test_a_failed_transaction_leaves_nothing_behind() -> None:
    limit, kept = SeriesLimit(1), Changes()
    admitted(limit, Changes(), "lost")
    limit.committed(kept)

    assert admitted(limit, kept, "a", "lost") == ["a", "_OTHER"]


def test_series_of_former_processes_stay_above_a_lowered_limit() -> None:
    limit = SeriesLimit(1, [prompts("a"), prompts("b")])

    assert admitted(limit, Changes(), "b", "c", "a") == ["b", "_OTHER", "a"]


def test_each_instrument_has_its_own_room() -> None:
    limit, changes = SeriesLimit(1, [prompts("a")]), Changes()
    thoughts = ("aibridge.model_thoughts", prompts("b")[1])

    assert limit.admitted(thoughts, changes) == thoughts


@pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=lambda each: each.name)
def test_only_what_a_client_decides_becomes_other(instrument: Instrument) -> None:
    keys = instrument.attributes
    decided = {
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.tool.name",
        "server.address",
        "aibridge.client",
        "error.type",
        "user.id",
    }

    name, values = overflow_key((instrument.name, tuple(f"x{key}" for key in keys)))

    assert name == instrument.name
    assert values == tuple("_OTHER" if key in decided else f"x{key}" for key in keys)


def test_an_absent_attribute_stays_absent() -> None:
    assert overflow_key(("aibridge.prompts", ("a", "", "c"))) == (
        "aibridge.prompts",
        ("_OTHER", "", "_OTHER"),
    )


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_every_sum_is_the_same_with_and_without_a_limit(limit: int) -> None:
    assert totals(limit) == totals(1000)


def totals(limit: int) -> dict[str, int]:
    """Return each instrument's sum, or number of samples, over interceptions of many models."""
    teller, changes = make_teller(series_limit=limit), Changes()
    for number in range(9):
        start = changed(STARTED, model=f"m{number % 3}", client=f"c{number // 3}")
        told = assembled([start, changed(USED, msg_id=str(number)), PROMPTED, ASKED, ENDED])
        for record in told.records:
            teller.record_arrived(record, start, changes)
        teller.interception_closed(told, changes)
    found: dict[str, int] = {}
    for (name, _), value in changes.series.items():
        more = value.samples if isinstance(value, Distribution) else value
        found[name] = found.get(name, 0) + more
    assert (found.pop("otelbridge.series.overflow", 0) > 0) == (limit < 9)
    return found


def test_the_limit_is_that_of_the_settings() -> None:
    told = tell([STARTED, USED, ENDED], series_limit=1)

    assert make_config().metrics.series_limit == DEFAULT_LIMIT == 2000
    assert told.series("otelbridge.series.overflow") == {
        ("aibridge.cost",): 2,  # its components
        ("gen_ai.client.token.usage",): 1,  # input and output
    }
    assert told.series("aibridge.cost").keys() == {
        ("anthropic", STARTED.model, "Claude Code", "input", ""),
        ("_OTHER", "_OTHER", "_OTHER", "output", ""),
        ("_OTHER", "_OTHER", "_OTHER", "cache_write", ""),
    }
