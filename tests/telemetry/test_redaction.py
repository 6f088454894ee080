"""Redaction: secrets of known formats and own rules become markers, and nothing else changes."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from otelbridge.config.secret_formats import SECRET_FORMATS
from otelbridge.telemetry.redaction import Redactor
from tests.telemetry.secret_vectors import HARMLESS, VECTORS, Vector

BUILT_IN = Redactor({})
# Rules that overlap, with and without a group, anchors and what stands in markers.
OWN = Redactor(
    {
        "employee": r"EMP-[0-9]{3,6}",
        "pair": r"password[\": =]+([a-z0-9]+)",
        "caps": r"\b[A-Z]{8}\b",
        "whole": r"^s[0-9]+$",
        "dots": r"x.{1,3}x",
        "bracket": r"[\]:]\w",
    }
)
WITH_PREFIX = [each for each in VECTORS if not each.text and each.rule != "private-key"]

pieces = st.one_of(
    st.sampled_from([each.sent for each in VECTORS]),
    st.sampled_from(HARMLESS),
    st.sampled_from(
        ["EMP-123", "password: abc", "REDACTED", "[REDACTED:caps]", "[REDACTED:", "xyx"]
    ),
    st.text(max_size=5),
    st.sampled_from([" ", "\n", "", '"', "\\n", "-", "://", "@"]),
)
texts = st.lists(pieces, max_size=8).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def redacted(text: str, redactor: Redactor = BUILT_IN) -> str:
    return redactor.redact(text, {})


def redacted_json(text: str, redactor: Redactor = BUILT_IN) -> str:
    return redactor.redact_json(text, {})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: f"{each.rule} {each.sent[:12]}")
def test_a_secret_of_a_known_format_is_replaced_by_its_rules_name(vector: Vector) -> None:
    found: dict[str, int] = {}

    told = BUILT_IN.redact(f"before ({vector.sent}), after", found)

    assert told == f"before ({vector.told}), after"
    assert found == {vector.rule: 1}


def test_every_known_format_has_an_example() -> None:
    assert {each.rule for each in VECTORS} == SECRET_FORMATS.keys()


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_a_secret_is_told(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "before", ["\n", "\\n", "\\t", "\x1b[32m", "=", '"', "%3D", "\\u003d", "(", "ü", "token:"]
)
@pytest.mark.parametrize("vector", WITH_PREFIX, ids=lambda each: f"{each.rule} {each.sent[:12]}")
def test_a_secret_is_found_behind_what_escaped_text_has_before_it(
    vector: Vector, before: str
) -> None:
    told = redacted(f"x{before}{vector.secret} y")

    assert vector.secret not in told
    assert told.startswith(f"x{before}[REDACTED:")


def test_several_secrets_are_counted_by_their_rules() -> None:
    tokens = [each.secret for each in VECTORS if each.rule == "github-token"]
    found = {"github-token": 1}

    BUILT_IN.redact(f"{tokens[0]} {tokens[1]},{VECTORS[0].secret}", found)

    assert found == {"github-token": 3, "private-key": 1}


@given(text=texts)
def test_redacting_again_changes_nothing(text: str) -> None:
    for redactor in (BUILT_IN, OWN):
        once = redacted(text, redactor)
        found: dict[str, int] = {}

        assert redactor.redact(once, found) == once
        assert found == {}


@given(before=st.text(max_size=9), vector=st.sampled_from(VECTORS), after=st.text(max_size=9))
def test_a_secret_between_any_words_is_not_told(before: str, vector: Vector, after: str) -> None:
    assert vector.secret not in redacted(f"{before} {vector.sent} {after}")


@given(value=values)
def test_redacted_json_is_json_without_secrets(value: object) -> None:
    text = json.dumps(value)

    told = redacted_json(text)

    parsed = json.loads(told)
    assert redacted_json(told) == told
    for secret in (each.secret for each in VECTORS if each.sent in strings_of(value)):
        assert secret not in strings_of(parsed)


def strings_of(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in strings_of(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings_of(each)]
    return [value] if isinstance(value, str) else []


@given(value=values)
def test_json_without_secrets_is_told_as_it_was_written(value: object) -> None:
    text = json.dumps(value, indent=1)
    assume(all(redacted(each) == each for each in [text, *strings_of(value)]))

    assert redacted_json(text) is text


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: f"{each.rule} {each.sent[:12]}")
@pytest.mark.parametrize("escape", [str, lambda text: text.replace("/", "\\/")], ids=["", "slash"])
def test_escapes_of_json_hide_no_secret(vector: Vector, escape: object) -> None:
    text = escape(json.dumps({"a": [f"Ü\n{vector.sent}\t"], "n": 1.50}))  # type: ignore[operator]

    told = redacted_json(text)

    assert json.loads(told) == {"a": [f"Ü\n{vector.told}\t"], "n": 1.5}
    assert told.endswith('"n": 1.5}')


def test_every_character_of_a_secret_may_be_escaped() -> None:
    token = next(each.secret for each in VECTORS if each.rule == "github-token")
    hidden = "".join(f"\\u{ord(character):04x}" for character in token)

    assert redacted_json(f'{{"a":"{hidden}"}}') == '{"a":"[REDACTED:github-token]"}'


def test_a_rule_may_look_at_a_key_and_its_value() -> None:
    text = '{"password": "hunter2", "id": "s12", "other": "s12x"}'

    assert json.loads(redacted_json(text, OWN)) == {
        "password": "[REDACTED:pair]",
        "id": "[REDACTED:whole]",
        "other": "s12x",
    }


def test_a_rule_that_breaks_json_leaves_a_json_string() -> None:
    told = redacted_json('{"a":1,"b":2}', Redactor({"greedy": '"a".*"b"'}))

    assert json.loads(told) == "{[REDACTED:greedy]:2}"


@pytest.mark.parametrize("text", ["{not json} {}", "nan: {}", '"open {}', "{{}"])
def test_arguments_that_are_no_json_are_redacted_as_text(text: str) -> None:
    vector = VECTORS[-1]

    assert redacted_json(text.replace("{}", vector.sent)) == text.replace("{}", vector.told)


def test_what_is_nested_too_deeply_to_be_read_is_redacted_as_text() -> None:
    token = next(each.secret for each in VECTORS if each.rule == "npm-token")
    text = "[" * 200_000 + f'"{token}"' + "]" * 200_000

    assert token not in redacted_json(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("EMP-12345678", "[REDACTED:employee]78"),
        ("password: abc, password=", "password: [REDACTED:pair], password="),
        ("ABCDEFGH", "[REDACTED:caps]"),
        ("[REDACTED:caps] REDACTED", "[REDACTED:caps] [REDACTED:caps]"),
        ("s12", "[REDACTED:whole]"),
        ("see s12", "see s12"),
    ],
)
def test_an_own_rule_replaces_its_group_or_all_that_it_matches(text: str, told: str) -> None:
    assert redacted(text, OWN) == told


def test_what_looks_like_the_beginning_of_a_marker_hides_nothing() -> None:
    vector = VECTORS[-1]

    assert redacted(f"[REDACTED:{vector.sent}") == f"[REDACTED:{vector.told}"


def test_a_format_can_be_left_out_replaced_or_be_the_only_one() -> None:
    tokens = {each.rule: each.secret for each in VECTORS if not each.text}
    text = f"{tokens['npm-token']} {tokens['jwt']} EMP-1"

    without = redacted(text, Redactor({"jwt": False}))
    alone = redacted(text, Redactor({"builtin": False, "jwt": True}))
    replaced = redacted(text, Redactor({"builtin": False, "jwt": "EMP-[0-9]"}))
    nothing = redacted(text, Redactor({"builtin": False}))

    assert without == f"[REDACTED:npm-token] {tokens['jwt']} EMP-1"
    assert alone == f"{tokens['npm-token']} [REDACTED:jwt] EMP-1"
    assert replaced == f"{tokens['npm-token']} {tokens['jwt']} [REDACTED:jwt]"
    assert nothing == text


def test_a_name_is_redacted_and_counted_each_time() -> None:
    found: dict[str, int] = {}
    key = next(each.secret for each in VECTORS if each.rule == "openai-key")

    told = {BUILT_IN.redact_name(key, found) for _ in range(3)}

    assert (told, found) == ({"[REDACTED:openai-key]"}, {"openai-key": 3})


@given(before=st.text(max_size=40), vector=st.sampled_from(VECTORS), end=st.integers(0, 200))
def test_a_cut_never_goes_through_a_secret(before: str, vector: Vector, end: int) -> None:
    text = f"{before} {vector.sent} {before}"
    end = min(end, len(text))

    cut = BUILT_IN.safe_end(text, end)

    assert cut <= end
    assert not any(vector.secret.startswith(tail) for tail in tails(redacted(text[:cut])))


def tails(text: str) -> list[str]:
    """Return the ends of a text that are long enough to be the beginning of a secret."""
    return [text[-size:] for size in range(8, min(len(text), 60))]


def test_a_cut_goes_through_none_of_two_rules_that_overlap() -> None:
    token = next(each.secret for each in VECTORS if each.rule == "npm-token")
    redactor = Redactor({"order": "no [0-9]+ npm_"})
    text = f"order no 123456 {token}"

    assert redactor.safe_end(text, text.index("npm_") + 10) == text.index("no")


def test_a_cut_goes_through_no_marker() -> None:
    assert BUILT_IN.safe_end("ab [REDACTED:jwt] cd", 9) == 3
    assert BUILT_IN.safe_end("ab [REDACTED:jwt] cd", 17) == 17


def test_the_time_for_any_text_grows_with_its_length_alone() -> None:
    """Ten times what it takes as a rule would be a rule that looks back."""
    hostile = [
        "-----BEGIN " + "PRIVATE KEY-----",
        "eyJ",
        "://a:",
        "sk-",
        "authorization:" + " " * 7,
        "Aa0123456-",
        "xoxb-1",
        "a.b@c:",
    ]
    size = 1024 * 1024
    begin = time.process_time()

    for piece in hostile:
        redacted((piece * (size // len(piece) + 1))[:size])

    assert time.process_time() - begin < 10


def test_behind_the_thousandth_secret_a_text_is_cut() -> None:
    text = "://a:b@h " * 1001
    found: dict[str, int] = {}

    told = BUILT_IN.redact(text, found)

    assert found == {"url-credentials": 1000}
    assert told == ("://[REDACTED:url-credentials]@h " * 1000)[:-3] + "[TRUNCATED]"
    assert redacted(told) == told


def test_json_with_more_secrets_is_still_json() -> None:
    text = json.dumps(["://a:b@h"] * 1001)

    parsed = json.loads(redacted_json(text))

    assert parsed == ["://[REDACTED:url-credentials]@h"] * 1000 + ["[TRUNCATED]"]


def test_a_prompt_of_two_kibibytes_takes_less_than_fifty_microseconds() -> None:
    """Some five, once the automaton knows such text; the best of many, whatever else runs."""
    text = ("Why does normalize('Jürgen') fail? See src/app/normalize.py:42, please.\n" * 30)[:2048]
    redacted(text)

    best = min(taken(text) for _ in range(50))

    assert best < 50e-6


def taken(text: str) -> float:
    """Return how long redaction takes, in seconds."""
    begin = time.perf_counter()
    for _ in range(10):
        redacted(text)
    return (time.perf_counter() - begin) / 10
