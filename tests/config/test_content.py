"""The section [content], and the limits of labels and series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otelbridge.config import build_config
from otelbridge.config.content import ContentConfig
from otelbridge.config.redaction_rules import rules_of
from otelbridge.config.secret_formats import SECRET_FORMATS
from otelbridge.config.sections import LIMITED_LABELS
from otelbridge.errors import ConfigError

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


def content(environ: dict[str, str] | None = None, **keys: Any) -> ContentConfig:
    return build_config({"content": keys}, environ or {}, base=Path("/etc/bridge")).content


def mistake(environ: dict[str, str] | None = None, **keys: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        content(environ, **keys)
    return str(raised.value)


def test_nothing_is_told_by_default_and_all_known_secrets_would_be_redacted() -> None:
    config = content()

    builtin, own = rules_of(config.redaction)
    assert config.capture == "NO_CONTENT"
    assert (builtin.keys(), own) == (SECRET_FORMATS.keys(), {})
    assert (config.limits.item, config.limits.total) == (64 * 1024, 512 * 1024)
    assert (config.fingerprint_key, config.fingerprint_key_file) == (None, None)


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("span_only", "SPAN_ONLY"),
        ("EVENT_ONLY", "EVENT_ONLY"),
        ("Span_And_Event", "SPAN_AND_EVENT"),
        ("no_content", "NO_CONTENT"),
        ("true", "SPAN_AND_EVENT"),
        ("False", "NO_CONTENT"),
    ],
)
def test_the_ecosystems_variable_sets_the_mode_in_any_case(value: str, mode: str) -> None:
    assert content({CAPTURE: value}).capture == mode
    assert content({CAPTURE: value}, capture="SPAN_ONLY").capture == "SPAN_ONLY"


def test_a_wrong_mode_is_an_error_of_its_variable() -> None:
    assert mistake({CAPTURE: "everything"}).startswith(f'{CAPTURE}: "EVERYTHING" is not one of')


def test_rules_are_patterns_and_switches() -> None:
    builtin, own = rules_of(
        content(redaction={"jwt": False, "npm-token": "npm.*", "emp": "EMP-[0-9]+"}).redaction
    )

    assert SECRET_FORMATS.keys() - builtin.keys() == {"jwt", "npm-token"}
    assert own == {"npm-token": "npm.*", "emp": "EMP-[0-9]+"}


def test_all_formats_can_be_left_out_but_some() -> None:
    builtin, _ = rules_of(content(redaction={"builtin": False, "jwt": True}).redaction)

    assert list(builtin) == ["jwt"]


def test_a_variable_sets_rules() -> None:
    table = {"OTELBRIDGE_CONTENT__REDACTION": '{"github-token": false, "emp": "E-[0-9]"}'}
    single = {"OTELBRIDGE_CONTENT__REDACTION__JWT": "False"}

    assert content(table).redaction == {"github-token": False, "emp": "E-[0-9]"}
    assert content(single).redaction == {"jwt": False}


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"emp": "EMP-["}, 'content.redaction.emp: "EMP-[" is not an RE2 pattern: missing ]: ['),
        ({"emp": "(?=x)"}, 'content.redaction.emp: "(?=x)" is not an RE2 pattern: invalid perl'),
        ({"emp": "x\x1b["}, 'content.redaction.emp: "x\\x1b[" is not an RE2 pattern: missing ]'),
        ({"emp": "x*"}, 'content.redaction.emp: "x*" matches an empty text'),
        ({"emp": "(?P<n>x)"}, 'content.redaction.emp: "(?P<n>x)" has a named group, plain ones'),
        ({"emp": 7}, "content.redaction.emp: not a pattern, true or false"),
        ({"jwt": []}, "content.redaction.jwt: not a pattern, true or false"),
        ({"emp": True}, 'content.redaction: "emp" is no built-in format; formats: builtin, priv'),
        ({"builtin": "x"}, 'content.redaction: "builtin" is true or false, not a pattern'),
        ({"E mp": "x"}, 'content.redaction: "E mp" is not a name of 1 to 32 of a-z, 0-9, ., _, -'),
        ({"x" * 33: "x"}, 'content.redaction: "' + "x" * 33 + '" is not a name of 1 to 32'),
        ({"": "x"}, 'content.redaction: "" is not a name of 1 to 32'),
        (
            {f"r{number}": "[^a]{1000}" for number in range(60)},
            "content.redaction: all patterns together: pattern too large",
        ),
        ("x", "content.redaction: not a table"),
    ],
)
def test_a_wrong_rule_is_named_with_its_value_and_the_reason(rules: Any, text: str) -> None:
    assert mistake(redaction=rules).startswith(text)


def test_a_wrong_rule_of_a_variable_is_called_by_it() -> None:
    variable = "OTELBRIDGE_CONTENT__REDACTION__EMP"

    assert mistake({variable: "("}) == f'{variable}: "(" is not an RE2 pattern: missing ): ('


@pytest.mark.parametrize("name", SECRET_FORMATS)
def test_every_known_format_could_be_an_own_rule(name: str) -> None:
    assert content(redaction={name: SECRET_FORMATS[name].pattern}).redaction


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"item": 1023}, "content.limits.item: 1023 is less than 1024"),
        ({"item": "2MiB"}, 'content.limits.item: "2MiB" is more than 1048576'),
        ({"total": "5MiB"}, 'content.limits.total: "5MiB" is more than 4194304'),
        ({"total": True}, "content.limits.total: true is not a number"),
        ({"items": 1}, "content.limits.items: unknown key; known: item, total"),
    ],
)
def test_a_wrong_limit_is_named(limits: Any, text: str) -> None:
    assert mistake(limits=limits) == text


def test_the_files_path_is_relative_to_the_settings() -> None:
    found = content(fingerprint_key_file="secret/key").fingerprint_key_file

    assert found == Path("/etc/bridge/secret/key")


def test_a_short_key_is_refused_and_not_repeated() -> None:
    text = mistake(fingerprint_key="hunter2hunter2!")

    assert text == "content.fingerprint_key: the key has 15 characters, at least 16 are needed"
    assert mistake(fingerprint_key=["hunter2"]) == "content.fingerprint_key: not a string"


def test_there_is_one_key() -> None:
    text = mistake(fingerprint_key="x" * 16, fingerprint_key_file="key")

    assert text == "content: fingerprint_key and fingerprint_key_file are both given"


def test_the_key_is_shown_by_nothing() -> None:
    config = content(fingerprint_key="hunter2-hunter2-")

    assert config.fingerprint_key == "hunter2-hunter2-"
    assert "hunter2" not in f"{config!r} {config}"


def test_a_label_without_a_limit_is_an_error_that_names_those_with_one() -> None:
    with pytest.raises(ConfigError) as raised:
        build_config({"metrics": {"limits": {"model": 5}}}, {}, base=Path())

    assert str(raised.value) == (
        'metrics.limits: "model" is not a label with a limit; labels: gen_ai.provider.name, '
        "gen_ai.request.model, gen_ai.tool.name, server.address, aibridge.client, error.type, "
        "user.id"
    )


@pytest.mark.parametrize("label", LIMITED_LABELS)
def test_every_label_with_a_limit_can_have_another(label: str) -> None:
    config = build_config({"metrics": {"limits": {label: 5}}}, {}, base=Path())

    assert config.metrics.limits == {label: 5}


@pytest.mark.parametrize("limit", [0, 1_000_001, "many"])
def test_a_wrong_limit_of_series_is_refused(limit: object) -> None:
    with pytest.raises(ConfigError, match=r"^metrics\.series_limit: "):
        build_config({"metrics": {"series_limit": limit}}, {}, base=Path())
