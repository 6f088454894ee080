"""Labels: the first values are admitted, for good, and everything else is counted."""

from __future__ import annotations

from otelbridge.domain.ledger import Changes
from otelbridge.telemetry.labels import DEFAULT_LIMIT, Labels

KEY = "gen_ai.request.model"
OVERFLOW = ("otelbridge.label.overflow", (KEY,))


def test_the_first_values_are_admitted_and_recorded() -> None:
    labels, changes = Labels({KEY: 2}), Changes()

    told = [labels.value(KEY, text, changes) for text in ("a", "b", "a", "c", "b")]

    assert told == ["a", "b", "a", "_OTHER", "b"]
    assert changes.admitted == {KEY: ["a", "b"]}
    assert changes.series == {OVERFLOW: 1}


def test_a_failed_transaction_admits_nothing() -> None:
    labels = Labels({KEY: 1})
    labels.value(KEY, "lost", Changes())

    changes = Changes()
    told = labels.value(KEY, "kept", changes)
    labels.committed(changes)

    assert told == "kept"
    assert labels.value(KEY, "lost", Changes()) == "_OTHER"


def test_what_was_committed_is_not_admitted_twice() -> None:
    labels, first, second = Labels({KEY: 2}), Changes(), Changes()
    labels.value(KEY, "a", first)
    labels.committed(first)

    labels.value(KEY, "a", second)

    assert second.admitted == {}


def test_values_of_former_processes_stay_admitted_above_a_lowered_limit() -> None:
    labels, changes = Labels({KEY: 1}, {KEY: ["a", "b"]}), Changes()

    told = [labels.value(KEY, text, changes) for text in ("b", "c")]

    assert told == ["b", "_OTHER"]
    assert changes.admitted == {}


def test_a_raised_limit_lets_in_new_values() -> None:
    labels = Labels({KEY: 3}, {KEY: ["a", "b"]})

    assert labels.value(KEY, "c", Changes()) == "c"


def test_each_key_has_a_limit_of_its_own_and_a_hundred_by_default() -> None:
    labels, changes = Labels({KEY: 1}), Changes()

    told = [labels.value("aibridge.client", str(number), changes) for number in range(101)]

    assert DEFAULT_LIMIT == 100
    assert told.count("_OTHER") == 1
    assert labels.value(KEY, "a", changes) == "a"


def test_a_clients_text_is_cut_and_made_printable() -> None:
    labels, changes = Labels(), Changes()

    told = [labels.value(KEY, text, changes) for text in ("x" * 65, "a\tb", "\u202e")]

    assert told == ["x" * 64, "a\\x09b", "\\u202e"]


def test_texts_that_become_the_same_label_take_one_place() -> None:
    labels, changes = Labels({KEY: 1}), Changes()

    told = {labels.value(KEY, "x" * 64 + tail, changes) for tail in ("", "1", "2")}

    assert told == {"x" * 64}


def test_reserved_values_take_no_place() -> None:
    labels, changes = Labels({KEY: 1}), Changes()

    told = [labels.value(KEY, text, changes) for text in ("", "unknown", "_OTHER")]

    assert told == ["", "unknown", "_OTHER"]
    assert (changes.admitted, changes.series) == ({}, {})


def test_looking_up_a_label_admits_nothing() -> None:
    labels = Labels({KEY: 5}, {KEY: ["a"]})

    assert [labels.known(KEY, text) for text in ("a", "b", "")] == ["a", "_OTHER", ""]
    assert [labels.known("aibridge.client", text) for text in ("a", "")] == ["_OTHER", ""]
