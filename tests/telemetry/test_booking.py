"""Booking: what each record and each finalised interception adds to the ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.interception import Thread
from otelbridge.domain.ledger import Changes, Distribution, UsageKey, UsageTotals
from otelbridge.domain.ports import Cost
from otelbridge.domain.usage import Usage
from otelbridge.telemetry.accounts import Accounts
from otelbridge.telemetry.booking import Booker
from otelbridge.telemetry.ids import chat_span_id
from otelbridge.telemetry.instruments import INSTRUMENTS
from otelbridge.telemetry.labels import Labels
from otelbridge.telemetry.providers import ProviderNames
from otelbridge.telemetry.series import SeriesLimit
from otelbridge.telemetry.valuation import Valued
from tests.telemetry.records import (
    ASKED,
    BEGIN_NS,
    ENDED,
    INTERCEPTION,
    MODEL,
    PROMPTED,
    RAN,
    SESSION,
    STARTED,
    THOUGHT,
    USED,
    USED_MORE,
    USER,
    changed,
)
from tests.telemetry.told import tell

if TYPE_CHECKING:
    from otelbridge.domain.records import Record

USAGE = "gen_ai.client.inference.usage."
LABELS = ("chat", "anthropic", MODEL)
AGENT = ("anthropic", MODEL, "Claude Code")


def counts(*records: Record, **options: object) -> dict[tuple[str, ...], int]:
    """Return the token counters, by the end of their name and the modality."""
    told = tell(records, **options)
    return {
        (key[0].removeprefix(USAGE), key[1][3]): value
        for key, value in told.changes.series.items()
        if key[0].startswith(USAGE) and isinstance(value, int)
    }


def test_token_counters_are_inclusive_and_of_unknown_modality() -> None:
    assert counts(STARTED, USED, USED_MORE, ENDED) == {
        ("input_tokens", "unknown"): 14_214,
        ("output_tokens", "unknown"): 136,
        ("cache_write.input_tokens", "unknown"): 14_210,
    }


def test_audio_is_told_apart_where_the_record_does() -> None:
    metadata = {"prompt_audio": 3.0, "completion_audio": 2.0, "completion_reasoning": 1.0}
    used = changed(USED, input_tokens=10, cache_write_input_tokens=0, metadata=metadata)

    assert counts(STARTED, used) == {
        ("input_tokens", "audio"): 3,
        ("input_tokens", "text"): 7,
        ("output_tokens", "audio"): 2,
        ("output_tokens", "text"): 3,
        # Which of the output was thought is not said.
        ("reasoning.output_tokens", "unknown"): 1,
    }


def test_a_record_that_says_there_is_no_audio_is_text() -> None:
    metadata = {"prompt_audio": 0.0, "prompt_cached": 6.0, "completion_reasoning": 1.0}
    used = changed(USED, input_tokens=10, cache_write_input_tokens=0, metadata=metadata)

    assert counts(STARTED, used) == {
        ("input_tokens", "text"): 16,
        ("cache_read.input_tokens", "text"): 6,
        ("output_tokens", "text"): 5,
        ("reasoning.output_tokens", "text"): 1,
    }


def test_all_zero_usage_is_counted_as_zero() -> None:
    zero = changed(USED_MORE, output_tokens=0)

    assert counts(STARTED, zero) == {
        ("input_tokens", "unknown"): 0,
        ("output_tokens", "unknown"): 0,
    }


@pytest.mark.parametrize(
    ("own", "everywhere", "prefixes"),
    [
        ("dup", "dup", {"inference", "token", "operation"}),
        ("latest", "latest", {"inference"}),
        ("v1_41", "v1_41", {"token", "operation"}),
        ("latest", "v1_41", {"inference", "token", "operation"}),
    ],
)
def test_the_metrics_of_every_profile_that_is_told_are_booked_and_no_others(
    own: str, everywhere: str, prefixes: set[str]
) -> None:
    told = tell(SESSION, semconv=own, global_semconv=everywhere)

    names = {name for name, _ in told.changes.series if name.startswith("gen_ai.")}
    assert {name.split(".")[2] for name in names} == prefixes


def test_a_finalised_interception_is_one_sample_of_each_token_histogram() -> None:
    told = tell([STARTED, USED, USED_MORE, ENDED])

    samples = {key: value.total for key, value in told.series("gen_ai.client.token.usage").items()}
    assert samples == {(*LABELS, "input"): 14_214, (*LABELS, "output"): 136}
    sample = told.series("gen_ai.client.inference.operation.input_tokens")[*LABELS, ""]
    # 14214 lies above 4^6 = 4096 and not above 4^7 = 16384: bucket 7.
    assert (sample.counts, sample.total) == ((0,) * 7 + (1,) + (0,) * 7, 14_214)


def test_without_a_token_record_there_is_no_token_sample() -> None:
    told = tell([STARTED, PROMPTED, ENDED])

    assert not told.series("gen_ai.client.token.usage")
    assert not told.series("gen_ai.client.inference.operation.input_tokens")


@pytest.mark.parametrize(
    "name", ["gen_ai.client.operation.duration", "gen_ai.client.inference.duration"]
)
def test_a_duration_is_sampled_in_seconds(name: str) -> None:
    ((values, sample),) = tell([STARTED, ENDED]).series(name).items()

    assert values == (*LABELS, "")
    assert (sample.samples, sample.total) == (1, 1.0)
    assert sample.counts[INSTRUMENTS[name].bounds.index(1.28)] == 1


@pytest.mark.parametrize(
    ("grouping", "trace_id"),
    [("interception", INTERCEPTION.bytes), ("thread", UUID(int=1).bytes)],
)
def test_a_sample_leads_to_the_chat_span(grouping: str, trace_id: bytes) -> None:
    thread = Thread(root_id=UUID(int=1))

    told = tell(SESSION, thread, global_grouping=grouping)

    histograms = [v for v in told.changes.series.values() if isinstance(v, Distribution)]
    exemplars = [each for value in histograms for each in value.exemplars.values()]
    assert len(exemplars) == 6
    assert {(each.at_ns, each.trace_id, each.span_id) for each in exemplars} == {
        (ENDED.at_ns, trace_id, chat_span_id(INTERCEPTION))
    }


def test_a_failed_interception_is_sampled_under_its_error() -> None:
    told = tell([STARTED, USED, changed(ENDED, error_type="overloaded")])

    for name in ("gen_ai.client.operation.duration", "gen_ai.client.inference.duration"):
        assert set(told.series(name)) == {(*LABELS, "overloaded")}
    tokens = told.series("gen_ai.client.inference.operation.input_tokens")
    assert set(tokens) == {(*LABELS, "overloaded")}


@pytest.mark.parametrize("records", [(STARTED, USED), (USED, ENDED)])
def test_without_a_start_or_an_end_there_is_no_duration(records: tuple[Record, ...]) -> None:
    told = tell(records)

    assert not told.series("gen_ai.client.operation.duration")
    assert told.series("gen_ai.client.token.usage")


@pytest.mark.parametrize(
    ("records", "labels"),
    [
        ((STARTED, ENDED), (*AGENT, "completed", "")),
        ((STARTED, changed(ENDED, error_type="timeout")), (*AGENT, "error", "")),
        ((STARTED, USED), (*AGENT, "incomplete", "")),
        ((USED, ENDED), ("unknown", "unknown", "", "orphan", "")),
    ],
)
def test_an_interception_is_counted_by_its_outcome(
    records: tuple[Record, ...], labels: tuple[str, ...]
) -> None:
    assert tell(records).series("aibridge.interceptions") == {labels: 1}


def test_prompts_thoughts_and_tools_are_counted() -> None:
    failed = changed(RAN, invocation_error="request timed out")

    told = tell([STARTED, PROMPTED, THOUGHT, ASKED, RAN, failed, ENDED])

    assert told.series("aibridge.prompts") == {AGENT: 1}
    assert told.series("aibridge.model_thoughts") == {AGENT: 1}
    assert told.series("aibridge.tool.calls") == {
        ("Grep", "false", ""): 1,
        ("search_issues", "true", ""): 1,
        ("search_issues", "true", "timeout"): 1,
    }


def test_cost_is_booked_by_component_in_billionths_of_a_dollar() -> None:
    told = tell([STARTED, USED, USED_MORE, ENDED])

    # USD for a million: input 3, output 15, written 3.75
    assert told.series("aibridge.cost") == {
        (*AGENT, "input", ""): 4 * 3_000,
        (*AGENT, "output", ""): 136 * 15_000,
        (*AGENT, "cache_write", ""): 14_210 * 3_750,
    }
    assert not told.series("aibridge.cost.unpriced")


def booked(cost: Cost | None) -> Changes:
    """Return what a token record of this cost adds to the ledger."""
    changes = Changes()
    account = Accounts(ProviderNames()).of(STARTED)
    Booker([], Labels(), SeriesLimit()).record(USED, account, Valued(Usage(), cost), changes)
    return changes


def cost_of(usd: Decimal, *others: Decimal) -> Cost:
    """Return a cost of these components, the rest is free."""
    parts = ("input", "output", "cache_read", "cache_write", "web_search")
    found = dict(zip(parts, (usd, *others, *[Decimal(0)] * 5), strict=False))
    return Cost(**found, price_id="", price_version="")


@pytest.mark.parametrize(
    ("usd", "nanos"),
    [
        ("0.0000000005", 0),  # a half goes to the even neighbour
        ("0.0000000015", 2),
        ("0.0000000025", 2),
        ("0.00000000250001", 3),
        ("0.0000000024999", 2),
        ("123456.789", 100_000 * 10**9),
        ("99999.999999999", 99_999_999_999_999),
    ],
)
def test_a_component_is_rounded_to_a_billionth_and_bounded(usd: str, nanos: int) -> None:
    changes = booked(cost_of(Decimal(usd)))

    assert changes.counts.get(("aibridge.cost", (*AGENT, "input", "")), 0) == nanos
    assert [totals.cost_nanos for totals in changes.usage.values()] == [nanos]


amounts = st.decimals(0, 1000, places=15)


@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=10))
def test_what_is_booked_adds_up_exactly_and_is_off_by_half_a_billionth_a_component(
    costs: list[tuple[Decimal, Decimal]],
) -> None:
    ledger = Changes()
    for parts in costs:
        ledger.merge(booked(cost_of(*parts)))

    (totals,) = ledger.usage.values()
    exact = sum((sum(parts, Decimal(0)) for parts in costs), Decimal(0))
    told = sum(n for (name, _), n in ledger.counts.items() if name == "aibridge.cost")
    assert told == totals.cost_nanos
    assert abs(totals.cost_nanos - exact * 10**9) <= len(costs)


def test_a_model_that_costs_nothing_is_priced() -> None:
    free, unknown = (next(iter(booked(c).usage.values())) for c in (cost_of(Decimal(0)), None))

    assert (free.unpriced, free.cost_nanos) == (0, 0)
    assert (unknown.unpriced, unknown.cost_nanos) == (1, 0)


def test_what_has_no_price_is_counted_with_its_model() -> None:
    told = tell([changed(STARTED, model="mystery"), USED, USED_MORE, ENDED])

    (totals,) = told.changes.usage.values()
    assert (totals.unpriced, totals.cost_nanos) == (2, 0)
    assert told.series("aibridge.cost.unpriced") == {("anthropic", "mystery", "Claude Code"): 2}
    assert not told.series("aibridge.cost")


def test_inconsistent_usage_is_counted() -> None:
    told = tell([STARTED, changed(USED, output_tokens=-1), USED_MORE, ENDED])

    assert told.series("aibridge.usage.inconsistent") == {AGENT: 1}


def test_usage_is_added_up_by_the_user_and_the_day_of_the_records() -> None:
    told = tell(SESSION)

    assert told.changes.usage == {
        UsageKey("2026-10-01", USER.bytes, *AGENT): UsageTotals(
            interceptions=1,
            input_tokens=14_214,
            output_tokens=136,
            cache_write=14_210,
            cost_nanos=12_000 + 2_040_000 + 53_287_500,
            prompts=1,
            tool_calls=2,
        )
    }


def test_a_record_after_midnight_is_the_next_days() -> None:
    midnight_ns = 1_790_899_200_000_000_000
    before, after = (changed(PROMPTED, at_ns=midnight_ns + each) for each in (-1, 0))

    told = tell([STARTED, before, after])

    days = {key.day: totals.prompts for key, totals in told.changes.usage.items()}
    assert days == {"2026-10-01": 1, "2026-10-02": 1}


def test_usage_without_a_start_is_unknowns_and_its_records_are_counted() -> None:
    told = tell([USED, PROMPTED])

    assert told.series("otelbridge.records.orphan") == {("tokens",): 1, ("prompt",): 1}
    assert {key[1:] for key in told.changes.usage} == {(b"", "unknown", "unknown", "")}
    assert told.series("gen_ai.client.inference.usage.input_tokens") == {
        ("chat", "unknown", "unknown", "unknown", ""): 14_214
    }


def test_an_empty_models_label_is_unknown_and_its_row_is_as_sent() -> None:
    told = tell([changed(STARTED, model=""), PROMPTED])

    assert set(told.series("aibridge.prompts")) == {("anthropic", "unknown", "Claude Code")}
    assert {key.model for key in told.changes.usage} == {""}


def test_labels_are_bounded_and_the_overflow_is_counted() -> None:
    records = [changed(ASKED, tool=f"tool{each}", at_ns=BEGIN_NS + each) for each in range(3)]

    told = tell([STARTED, *records, ENDED], limits={"gen_ai.tool.name": 2})

    tools = [values[0] for values in told.series("aibridge.tool.calls")]
    assert tools == ["tool0", "tool1", "_OTHER"]
    assert told.series("otelbridge.label.overflow") == {("gen_ai.tool.name",): 1}
    assert told.changes.admitted["gen_ai.tool.name"] == ["tool0", "tool1"]


def test_the_user_is_a_label_only_if_asked_for() -> None:
    told = tell([STARTED, USED, ENDED], user_label=True)

    for name in ("aibridge.cost", "aibridge.interceptions", f"{USAGE}input_tokens"):
        assert {values[-1] for values in told.series(name)} == {str(USER)}
        assert INSTRUMENTS[name].attributes[-1] == "user.id"


def test_a_start_admits_its_labels_so_that_what_is_active_has_a_name() -> None:
    assert tell([STARTED]).changes.admitted == {
        "gen_ai.provider.name": ["anthropic"],
        "gen_ai.request.model": [MODEL],
        "aibridge.client": ["Claude Code"],
    }


def test_every_booked_series_has_a_value_for_each_label() -> None:
    error = changed(ENDED, error_type="timeout")

    for key in tell([*SESSION[:-1], error], user_label=True).changes.series:
        assert {type(value) for value in key[1]} <= {str}
        assert len(key[1]) == len(INSTRUMENTS[key[0]].attributes), key
        assert INSTRUMENTS[key[0]].durable
