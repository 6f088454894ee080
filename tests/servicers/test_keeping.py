"""Keeping: what of content goes to the disk, and what a replay makes of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.records import (
    ModelThought,
    Prints,
    PromptUsed,
    Record,
    RecordKind,
    ToolUsed,
)
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.recording import Received, Submission
from otelbridge.servicers.keeping import RequestReader
from otelbridge.servicers.messages import Receipt, identity_of, parse_record
from otelbridge.telemetry.fingerprint import Fingerprinter
from otelbridge.telemetry.redaction import Redactor
from otelbridge.telemetry.truncation import Shortener
from tests.records import T0, uuid
from tests.telemetry.secret_vectors import VECTORS

ID = str(uuid(1))
KEY = b"0123456789abcdef"
SHORTENER = Shortener(1024, Redactor({}).safe_end)
READ = RequestReader(SHORTENER)
WITH_PRINTS = RequestReader(SHORTENER, Fingerprinter(KEY))
WORDS = "Zo\u00eb \U0001f641"


def prompt(text: str = WORDS) -> pb.RecordPromptUsageRequest:
    return pb.RecordPromptUsageRequest(interception_id=ID, prompt=text)


def tool(text: str = '{"a":1}', **fields: Any) -> pb.RecordToolUsageRequest:
    return pb.RecordToolUsageRequest(interception_id=ID, tool="t", input=text, **fields)


def thought(text: str = WORDS) -> pb.RecordModelThoughtRequest:
    return pb.RecordModelThoughtRequest(interception_id=ID, content=text)


def end(message: str = "") -> pb.RecordInterceptionEndedRequest:
    return pb.RecordInterceptionEndedRequest(id=ID, error_message=message or None)


KINDS = {
    pb.RecordPromptUsageRequest: RecordKind.PROMPT,
    pb.RecordToolUsageRequest: RecordKind.TOOL,
    pb.RecordModelThoughtRequest: RecordKind.THOUGHT,
    pb.RecordInterceptionEndedRequest: RecordKind.END,
}


def read(request: Any, reader: RequestReader = READ, *, keep_content: bool = True) -> Received:
    submission = Submission(KINDS[type(request)], request.SerializeToString(), T0)
    return reader(submission, keep_content=keep_content)


def replayed(received: Received, kind: RecordKind) -> Record:
    """Return what a restart makes of what the journal kept."""
    prints = Prints.unpack(received.prints)
    receipt = Receipt(T0, received.record.identity, received.length, prints)
    return parse_record(kind, received.payload, receipt)


def content(record: Record) -> str | None:
    if isinstance(record, PromptUsed):
        return record.prompt
    if isinstance(record, ToolUsed):
        return record.input
    assert isinstance(record, ModelThought)
    return record.content


@pytest.mark.parametrize(
    "request_", [prompt(), tool(), thought()], ids=["prompt", "tool", "thought"]
)
def test_what_may_be_told_is_kept_as_it_was_sent(request_: Any) -> None:
    received = read(request_)

    assert received.payload == request_.SerializeToString()
    assert (received.length, received.prints) == (None, b"")


@pytest.mark.parametrize("make", [prompt, tool, thought])
@pytest.mark.parametrize("text", [WORDS, "", "x" * 5000])
def test_what_nobody_will_be_told_is_replaced_by_its_length(make: Any, text: str) -> None:
    received = read(make(text), keep_content=False)

    record: Any = received.record
    assert (content(record), record.length, received.length) == (None, len(text), len(text))
    assert not text or text.encode() not in received.payload
    assert received.prints == b""


@pytest.mark.parametrize("make", [prompt, thought])
def test_of_a_long_text_the_beginning_is_kept_and_the_hash_of_all_of_it(make: Any) -> None:
    text = "ü" * 3000

    received = read(make(text))

    record: Any = received.record
    assert content(record) == "ü" * 506 + "[TRUNCATED]"
    assert record.length == 3000
    assert record.prints.sha256 == hashlib.sha256(text.encode()).digest()
    assert len(received.payload) < 1200


def test_of_long_arguments_json_is_kept() -> None:
    received = read(tool(json.dumps({"content": "x" * 9000, "path": "/a"})))

    kept = json.loads(content(received.record) or "")
    assert (kept["path"], kept["content"][-11:]) == ("/a", "[TRUNCATED]")


def test_sixteen_mebibytes_leave_little_on_the_disk_and_in_memory() -> None:
    text = "why? " * (16 * 1024 * 1024 // 5)

    received = read(prompt(text), WITH_PRINTS)

    assert len(received.payload) < 1200
    assert len(content(received.record) or "") <= 1024
    assert Prints.unpack(received.prints).sha256 == hashlib.sha256(text.encode()).digest()


def test_a_cut_leaves_no_part_of_a_secret_on_the_disk_that_no_rule_would_find() -> None:
    token = next(each.secret for each in VECTORS if each.rule == "github-token")
    for size in range(960, 1030):
        for request in (
            prompt("x" * size + f" {token} " + "y" * 999),
            tool(f'"{"x" * size} {token}{" y" * 999}"'),
        ):
            payload = read(request).payload
            assert token.encode() in payload or token[:6].encode() not in payload


@pytest.mark.parametrize("keep_content", [True, False])
def test_long_words_of_a_failure_are_cut_or_replaced_by_their_type(keep_content: bool) -> None:
    message = "context deadline exceeded " * 999

    ended = read(end(message), keep_content=keep_content)
    failed = read(tool(invocation_error=message), keep_content=keep_content)

    assert len(ended.payload) < 1200 > len(failed.payload)
    words: Any = (ended.record, failed.record)
    told = (words[0].error_message, words[1].invocation_error)
    if keep_content:
        assert told == ((message[:1013] + "[TRUNCATED]",) * 2)
    else:
        assert told == (None, "timeout")
        assert words[0].error_type == "_OTHER"


@pytest.mark.parametrize("keep_content", [True, False])
@pytest.mark.parametrize("long", [1, 999])
def test_a_fingerprint_is_that_of_the_text_as_it_was_sent(keep_content: bool, long: int) -> None:
    make = Fingerprinter(KEY)
    text, arguments = WORDS * long, json.dumps({"a": WORDS * long, "b": 1})

    asked = read(prompt(text), WITH_PRINTS, keep_content=keep_content)
    used = read(tool(arguments), WITH_PRINTS, keep_content=keep_content)
    thinking = read(thought(text), WITH_PRINTS, keep_content=keep_content)

    found = [Prints.unpack(each.prints).fingerprint for each in (asked, used, thinking)]
    assert found == [make.prompt(text), make.tool_input(arguments), b""]
    assert all(len(each) == 16 for each in found[:2])


@given(
    text=st.text(max_size=40),
    times=st.integers(0, 60),
    kind=st.sampled_from([prompt, tool, thought]),
    keep_content=st.booleans(),
    reader=st.sampled_from([READ, WITH_PRINTS]),
)
def test_a_restart_finds_the_same_record(
    text: str, times: int, kind: Any, keep_content: bool, reader: RequestReader
) -> None:
    request = kind(text * times)

    received = read(request, reader, keep_content=keep_content)

    assert replayed(received, KINDS[type(request)]) == received.record


@given(text=st.text(min_size=1, max_size=30), times=st.integers(1, 60))
def test_the_identity_is_that_of_the_request_as_it_was_sent(text: str, times: int) -> None:
    request = prompt(text * times)
    sent = identity_of(RecordKind.PROMPT, prompt(text * times))

    kept = [read(request, WITH_PRINTS, keep_content=each).record for each in (True, False)]

    assert {record.identity for record in kept} == {sent}


@pytest.mark.parametrize(
    "prints",
    [Prints(), Prints(b"f" * 16), Prints(b"", b"s" * 32), Prints(b"f" * 16, b"s" * 32)],
    ids=str,
)
def test_prints_are_read_as_they_were_packed(prints: Prints) -> None:
    assert Prints.unpack(prints.pack()) == prints
