"""The log's lines."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from otelbridge.config.sections import LogConfig
from otelbridge.logs import JsonFormatter, TextFormatter, set_up_logging


def _record(message: str, *args: object, error: bool = False) -> logging.LogRecord:
    record = logging.LogRecord("otelbridge.x", logging.WARNING, "x.py", 1, message, args, None)
    record.created = 1_800_000_000.25
    if error:
        try:
            raise ValueError("no")
        except ValueError:
            record.exc_info = sys.exc_info()
    return record


def test_text_is_time_level_logger_and_message() -> None:
    line = TextFormatter().format(_record("closing %s", "it"))

    assert line == "2027-01-15T08:00:00.250Z warning otelbridge.x: closing it"


def test_a_message_stays_on_its_line() -> None:
    line = TextFormatter().format(_record("%s", "a\nb"))

    assert line.endswith("otelbridge.x: a\\nb")


def test_text_has_the_traceback_below() -> None:
    text = TextFormatter().format(_record("failed", error=True))

    assert text.splitlines()[1] == "Traceback (most recent call last):"
    assert text.splitlines()[-1] == "ValueError: no"


def test_json_is_one_object_a_line() -> None:
    line = JsonFormatter().format(_record("a\nb %d", 7, error=True))

    fields = json.loads(line)
    assert "\n" not in line
    assert fields.pop("exception").endswith("ValueError: no")
    assert fields == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "warning",
        "logger": "otelbridge.x",
        "message": "a\nb 7",
    }


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["ours debug", "ours info", "ours warning", "theirs warning", "ours error"]),
        ("info", ["ours info", "ours warning", "theirs warning", "ours error"]),
        ("error", ["ours error"]),
    ],
)
def test_libraries_are_heard_from_warnings_on(
    level: str, heard: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    ours, theirs = logging.getLogger("otelbridge.y"), logging.getLogger("library")
    try:
        set_up_logging(LogConfig.model_validate({"level": level, "format": "json"}))
        ours.debug("ours debug")
        ours.info("ours info")
        theirs.info("theirs info")
        ours.warning("ours warning")
        theirs.warning("theirs warning")
        ours.error("ours error")
    finally:
        root.handlers[:], level_before = before
        root.setLevel(level_before)
        logging.getLogger("otelbridge").setLevel(logging.NOTSET)

    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["message"] for line in lines] == heard
