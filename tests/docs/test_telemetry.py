"""docs/telemetry.md says what is told: every name, nothing else, and traces as they are."""

from __future__ import annotations

import re

from otelbridge.telemetry import semconv
from otelbridge.telemetry.instruments import INSTRUMENTS
from tests.docs.telemetry import BLOCK, PAGE, blocks, written

_TEXT = PAGE.read_text()
_NAMES = re.compile(r"`((?:gen_ai|aibridge|otelbridge|mcp|rpc)\.[a-z0-9_.]+)(?:\.<key>)?`")
_TEMPLATES = ("aibridge.metadata.", "aibridge.usage.extra.")
_EVENTS = {value for name, value in vars(semconv).items() if name.startswith("EVENT_")}
_DECLARED = {*semconv.ATTRIBUTES, *INSTRUMENTS, *_EVENTS}


def test_the_tables_and_traces_are_those_of_the_code() -> None:
    assert written(_TEXT) == _TEXT, "run: python -m tests.docs.telemetry"


def test_every_table_and_trace_is_in_the_page_once() -> None:
    named = [block["name"] for block in BLOCK.finditer(_TEXT)]

    assert sorted(named) == sorted(blocks())


def test_every_attribute_and_instrument_has_its_row_and_every_event_is_described() -> None:
    first = set(re.findall(r"^\| `([a-z_0-9.]+)(?:\.<key>)?` \|", _TEXT, re.MULTILINE))

    assert {*semconv.ATTRIBUTES, *INSTRUMENTS} - first == set()
    assert _EVENTS - set(_NAMES.findall(_TEXT)) == set()


def test_every_name_in_the_page_is_one_that_is_told() -> None:
    named = {name for name in _NAMES.findall(_TEXT) if not name.startswith(_TEMPLATES)}

    assert named - _DECLARED == set()


def test_every_attribute_of_the_traces_is_in_the_tables() -> None:
    told = set(re.findall(r"^ +([a-z_]+\.[a-z0-9_.]+) = ", _TEXT, re.MULTILINE))

    assert len(told) > 40
    assert {key for key in told if not key.startswith(_TEMPLATES)} - _DECLARED == set()
