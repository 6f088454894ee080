"""Captures made new."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.transports.capture import CapturedCall, read_capture
from otelbridge.transports.fresh import freshened

if TYPE_CHECKING:
    from collections.abc import Sequence

_CAPTURES = sorted((Path(__file__).parents[1] / "captures").glob("*.jsonl"))
_NOW_NS = 1_800_000_000_000_000_000
_MOMENTS = ("started_at", "ended_at", "created_at")
_IDS = (
    "id",
    "interception_id",
    "tool_call_id",
    "correlating_tool_call_id",
    "client_session_id",
    "agent_firewall_session_id",
)

_ids = st.sampled_from([str(UUID(int=n)) for n in range(1, 4)])
_texts = st.sampled_from(["", "toolu_1", "call-x-2", "z"])
_seconds = st.integers(1_700_000_000, 1_700_000_100)


def _start(interception: str, tool: str, session: str, seconds: int) -> CapturedCall:
    request = pb.RecordInterceptionRequest(id=interception, initiator_id=str(UUID(int=9)))
    request.correlating_tool_call_id = tool
    request.client_session_id = session
    request.started_at.FromSeconds(seconds)
    return CapturedCall(rpc="Recorder/RecordInterception", at_s=0, request=request)


def _tool(interception: str, tool: str, seconds: int) -> CapturedCall:
    request = pb.RecordToolUsageRequest(interception_id=interception, tool_call_id=tool)
    request.created_at.FromSeconds(seconds)
    return CapturedCall(rpc="Recorder/RecordToolUsage", at_s=1, request=request)


_captures = st.lists(
    st.builds(_start, _ids, _texts, _texts, _seconds) | st.builds(_tool, _ids, _texts, _seconds),
    min_size=1,
    max_size=8,
)


def _fresh(calls: Sequence[CapturedCall]) -> list[CapturedCall]:
    numbers = itertools.count(1000)
    return freshened(calls, now_ns=_NOW_NS, draw=lambda: UUID(int=next(numbers)))


def _ids_of(calls: Sequence[CapturedCall]) -> list[str]:
    return [str(getattr(call.request, name, "")) for call in calls for name in _IDS]


def _times_of(calls: Sequence[CapturedCall]) -> list[int]:
    requests: list[Any] = [call.request for call in calls]
    return [
        getattr(request, name).ToNanoseconds()
        for request in requests
        for name in _MOMENTS
        if name in request.DESCRIPTOR.fields_by_name and request.HasField(name)
    ]


def _without_what_changes(call: CapturedCall) -> bytes:
    copied: Any = type(call.request)()
    copied.CopyFrom(call.request)
    for name in (*_MOMENTS, *_IDS):
        if name in copied.DESCRIPTOR.fields_by_name:
            copied.ClearField(name)
    raw: bytes = copied.SerializeToString(deterministic=True)
    return raw


@given(calls=_captures)
def test_ids_are_new_and_stand_for_the_same_things(calls: list[CapturedCall]) -> None:
    before, after = _ids_of(calls), _ids_of(_fresh(calls))

    pairs = {(old, new) for old, new in zip(before, after, strict=True) if old}
    assert {new for _, new in pairs}.isdisjoint(before)
    # Three kinds of ids, each one to one: `z` is a tool call's and a session's.
    kinds = len({(kind, old) for kind, old in _kinds(calls) if old})
    assert len(pairs) == len({new for _, new in pairs}) == kinds
    assert [bool(old) for old in before] == [bool(new) for new in after]


def _kinds(calls: Sequence[CapturedCall]) -> set[tuple[int, str]]:
    return {
        (_IDS.index(name) // 2, str(getattr(call.request, name, "")))
        for call in calls
        for name in _IDS
    }


@given(calls=_captures)
def test_the_last_moment_is_now_and_every_duration_stays(calls: list[CapturedCall]) -> None:
    before, after = _times_of(calls), _times_of(_fresh(calls))

    assert max(after) == _NOW_NS
    assert {new - old for old, new in zip(before, after, strict=True)} == {_NOW_NS - max(before)}


@given(calls=_captures)
def test_the_calls_given_are_not_changed(calls: list[CapturedCall]) -> None:
    before = [call.request.SerializeToString(deterministic=True) for call in calls]

    _fresh(calls)

    assert [call.request.SerializeToString(deterministic=True) for call in calls] == before


@pytest.mark.parametrize("path", _CAPTURES, ids=lambda path: path.stem)
def test_a_real_capture_keeps_everything_but_its_ids_and_times(path: Path) -> None:
    calls = read_capture(path)

    fresh = _fresh(calls)

    assert list(map(_without_what_changes, fresh)) == list(map(_without_what_changes, calls))
    assert [(call.rpc, call.at_s) for call in fresh] == [(call.rpc, call.at_s) for call in calls]
    assert max(_times_of(fresh)) == _NOW_NS
    assert len(set(_ids_of(fresh))) == len(set(_ids_of(calls)))


def test_a_tool_call_keeps_its_providers_prefix() -> None:
    [call] = _fresh([_tool(str(UUID(int=1)), "toolu_01abc", 1_700_000_000)])

    assert isinstance(call.request, pb.RecordToolUsageRequest)
    assert call.request.tool_call_id.startswith("toolu_")
    assert call.request.tool_call_id != "toolu_01abc"


@pytest.mark.parametrize("bad", ["nonsense", "", str(UUID(int=0))])
def test_an_id_that_is_there_to_be_refused_still_is(bad: str) -> None:
    [call] = _fresh([_tool(bad, "", 1_700_000_000)])

    assert call.interception == bad


def test_an_absurd_time_stays_and_shifts_nothing() -> None:
    absurd, sane = _tool("a", "", 0), _tool("a", "", 1_700_000_000)

    fresh = _fresh([absurd, sane])

    assert _times_of(fresh) == [0, _NOW_NS]


def test_two_spellings_of_one_uuid_stay_one_interception() -> None:
    name = "4ef78311-09f8-4027-b4a3-9e6b390c640a"

    fresh = _fresh([_tool(name, "", 1_700_000_000), _tool(name.upper(), "", 1_700_000_000)])

    assert fresh[0].interception == fresh[1].interception != name
