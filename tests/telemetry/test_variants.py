"""Variants: destinations that want the same are told once."""

from __future__ import annotations

from typing import Any

import pytest

from otelbridge.config.sections import Config
from otelbridge.telemetry.variants import Variant, profile_of, profiles_of, variants_of


def config(*destinations: dict[str, object], **sections: Any) -> Config:
    """Return settings with these destinations, named from a on."""
    named = [
        {"name": "abcdef"[number], "endpoint": "http://127.0.0.1:1", **each}
        for number, each in enumerate(destinations)
    ]
    return Config.model_validate({"destination": named, **sections})


BITS = {name: 1 << number for number, name in enumerate("abcdef")}


def test_nothing_is_told_without_a_destination() -> None:
    assert variants_of(config(), {}) == ()


def test_equal_options_share_a_variant() -> None:
    found = variants_of(config({}, {"semconv": "latest"}, {"semconv": "dup"}), BITS)

    assert [(each.semconv, each.traces, each.logs) for each in found] == [
        ("dup", 0b101, 0b101),
        ("latest", 0b010, 0b010),
    ]


@pytest.mark.parametrize(
    "option",
    [
        {"semconv": "v1_41"},
        {"events": "both"},
        {"trace_grouping": "thread"},
        {"content": "SPAN_ONLY"},
    ],
)
def test_each_option_makes_a_variant_of_its_own(option: dict[str, object]) -> None:
    assert len(variants_of(config({}, option), BITS)) == 2


def test_a_destination_that_says_nothing_follows_the_global_keys() -> None:
    settings = config(
        {},
        telemetry={"semconv": "latest", "events": "log", "trace_grouping": "thread"},
        content={"capture": "EVENT_ONLY"},
    )

    assert variants_of(settings, BITS) == (
        Variant(
            semconv="latest",
            content="EVENT_ONLY",
            events="log",
            trace_grouping="thread",
            traces=1,
            logs=1,
        ),
    )


def test_a_destination_gets_only_the_signals_that_it_wants() -> None:
    settings = config({"signals": ["traces"]}, {"signals": ["logs"]}, {"signals": ["metrics"]})

    (found,) = variants_of(settings, BITS)

    assert (found.traces, found.logs, found.destinations) == (0b001, 0b010, 0b011)


@pytest.mark.parametrize(
    ("mode", "allowed"),
    [
        ("NO_CONTENT", (False, False)),
        ("SPAN_ONLY", (True, False)),
        ("EVENT_ONLY", (False, True)),
        ("SPAN_AND_EVENT", (True, True)),
    ],
)
def test_a_content_mode_says_where_content_may_stand(mode: str, allowed: tuple[bool, bool]) -> None:
    (found,) = variants_of(config({"content": mode}), BITS)

    assert (found.has_span_content, found.has_event_content) == allowed


def test_metrics_are_booked_for_every_profile_that_is_told() -> None:
    settings = config({"semconv": "v1_41"}, {"semconv": "v1_41"}, telemetry={"semconv": "latest"})

    assert [profile.name for profile in profiles_of(settings)] == ["latest", "v1_41"]
    assert [profile_of(settings, each).name for each in settings.destination] == ["v1_41"] * 2
