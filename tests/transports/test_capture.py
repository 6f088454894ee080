"""Captures as files."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.struct_pb2 import Value

from otelbridge.errors import ConfigError
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.transports.capture import read_capture

_CAPTURES = sorted((Path(__file__).parents[1] / "captures").glob("*.jsonl"))
_ID = "4ef78311-09f8-4027-b4a3-9e6b390c640a"
_END = f'{{"rpc": "Recorder/RecordInterceptionEnded", "at": 2, "request": {{"id": "{_ID}"}}}}'


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Return a file that is not written yet."""
    return tmp_path / "capture.jsonl"


@pytest.mark.parametrize("path", _CAPTURES, ids=lambda path: path.stem)
def test_every_real_capture_is_read_whole_and_in_order(path: Path) -> None:
    calls = read_capture(path)

    assert len(calls) == len(path.read_text().splitlines())
    assert [call.at_s for call in calls] == sorted(call.at_s for call in calls)


def test_a_line_is_its_method_its_time_and_its_request(capture: Path) -> None:
    capture.write_text(
        '{"rpc": "Recorder/RecordTokenUsage", "at": 1.5, "request": {"interceptionId": "x",'
        ' "inputTokens": "7", "metadata": {"n": {"@type":'
        ' "type.googleapis.com/google.protobuf.Value", "value": 3.0}}}}\n'
    )

    [call] = read_capture(capture)

    assert isinstance(call.request, pb.RecordTokenUsageRequest)
    value = Value()
    assert call.request.metadata["n"].Unpack(value)
    assert (call.rpc, call.at_s, call.request.input_tokens, value.number_value) == (
        "Recorder/RecordTokenUsage",
        1.5,
        7,
        3.0,
    )


def test_a_call_knows_the_interception_that_it_records(capture: Path) -> None:
    capture.write_text(
        f"{_END}\n"
        f'{{"rpc": "Recorder/RecordPromptUsage", "request": {{"interceptionId": "{_ID}"}}}}\n'
        '{"rpc": "Authorizer/IsAuthorized", "request": {"key": "x"}}\n'
    )

    found = {call.rpc.partition("/")[2]: call.interception for call in read_capture(capture)}

    assert found == {
        "RecordInterceptionEnded": _ID,
        "RecordPromptUsage": _ID,
        "IsAuthorized": "",
    }


def test_lines_come_in_the_order_of_their_times_and_empty_ones_are_skipped(capture: Path) -> None:
    capture.write_text(f"\n{_END}\n\n{_END.replace('2,', '1,')}\n{_END}\r\n")

    assert [call.at_s for call in read_capture(capture)] == [1, 2, 2]


def test_a_line_separator_of_unicode_inside_a_text_ends_no_line(capture: Path) -> None:
    text = '{"rpc": "Recorder/RecordPromptUsage", "request": {"prompt": "a\u2028b\u0085c"}}'
    capture.write_text(text, encoding="utf-8")

    [call] = read_capture(capture)

    assert isinstance(call.request, pb.RecordPromptUsageRequest)
    assert call.request.prompt == "a\u2028b\u0085c"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "{",
            "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ("[]", "not a JSON object"),
        ('{"rpc": "Recorder/Nope"}', 'rpc: "Recorder/Nope" is not a method of the contract'),
        ('{"rpc": 7}', 'rpc: "7" is not a method of the contract'),
        ("{}", 'rpc: "None" is not a method of the contract'),
        (_END.replace('"at"', '"time"'), 'unknown key "time"'),
        (_END.replace("2,", "-1,"), "at: not a number of seconds since the capture began"),
        (_END.replace("2,", "NaN,"), "at: not a number of seconds since the capture began"),
        (
            _END.replace("2,", "1" + "0" * 400 + ","),
            "at: not a number of seconds since the capture began",
        ),
        (_END.replace("2,", "true,"), "at: not a number of seconds since the capture began"),
        ('{"rpc": "Authorizer/IsAuthorized", "request": 7}', "request: not an object"),
    ],
)
def test_a_mistake_is_named_with_its_line(capture: Path, line: str, problem: str) -> None:
    capture.write_text(f"{_END}\n{line}\n")

    with pytest.raises(ConfigError) as caught:
        read_capture(capture)

    assert str(caught.value) == f"{capture}:2: {problem}"


@pytest.mark.parametrize(
    "request_text",
    [
        '{"nope": 1}',
        '{"key": 7}',
        '{"key": "\\ud800"}',
    ],
)
def test_a_wrong_field_is_named_in_one_line(capture: Path, request_text: str) -> None:
    capture.write_text(f'{{"rpc": "Authorizer/IsAuthorized", "request": {request_text}}}')

    with pytest.raises(ConfigError) as caught:
        read_capture(capture)

    assert str(caught.value).startswith(f"{capture}:1: request: ")
    assert "\n" not in str(caught.value)


def test_a_metadata_type_that_nobody_knows_is_named(capture: Path) -> None:
    capture.write_text(
        '{"rpc": "Recorder/RecordPromptUsage", "request": {"metadata": {"a": {"@type": "x/y.Z"}}}}'
    )

    with pytest.raises(ConfigError, match=r"jsonl:1: request: .*y\.Z"):
        read_capture(capture)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "holds no call"), (b"\n\n", "holds no call"), (b"\xff", "not UTF-8 text")],
)
def test_a_file_that_is_no_capture_is_named(capture: Path, content: bytes, problem: str) -> None:
    capture.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_capture(capture)

    assert str(caught.value) == f"{capture}: {problem}"


def test_a_missing_file_is_named(capture: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_capture(capture)

    assert str(caught.value) == f"{capture}: No such file or directory"
