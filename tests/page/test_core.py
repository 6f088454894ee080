"""What the core remembers for the page: committed interceptions, in few bytes, without content."""

from __future__ import annotations

import pickle
import sqlite3
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from otelbridge.config import build_config
from otelbridge.core.core import Core, open_core
from otelbridge.domain.ledger import Changes
from otelbridge.domain.recent import KEPT, MAX_NAME, MAX_SESSION, MAX_TOOLS, Recent
from otelbridge.domain.records import RecordKind
from otelbridge.errors import JournalError
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.recording import Side, Submission
from tests.e2e import gateways as gw
from tests.page.views import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from otelbridge.core.overview import Overview

S = 10**9
_KINDS: dict[type, RecordKind] = {
    pb.RecordInterceptionRequest: RecordKind.START,
    pb.RecordInterceptionEndedRequest: RecordKind.END,
    pb.RecordTokenUsageRequest: RecordKind.TOKENS,
    pb.RecordPromptUsageRequest: RecordKind.PROMPT,
    pb.RecordToolUsageRequest: RecordKind.TOOL,
}
_LONG = "x" * 1000


class World:
    """A core in this process, and a clock set by hand."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.now_ns = time.time_ns()
        data = {"journal": {"reserve_bytes": "1MiB"}, "assembly": {"grace_s": 1.0}, **settings}
        config = build_config(data, {}, base=folder)
        self.core: Core
        self.core, _ = open_core(config, clock_ns=lambda: self.now_ns)

    def send(self, *requests: Message) -> None:
        """Commit records."""
        batch = [
            Submission(_KINDS[type(each)], each.SerializeToString(), self.now_ns)
            for each in requests
        ]
        assert self.core.commit(batch, Side()).outcomes == [None] * len(batch)

    def wait(self) -> None:
        """Let what is due be finalised."""
        self.now_ns += 2 * S
        self.core.commit([], Side())

    def look(self) -> Overview:
        """Return what the page shows of today, as another process gets it."""
        day = datetime.fromtimestamp(self.now_ns // S, tz=UTC).strftime("%Y-%m-%d")
        seen: Overview = pickle.loads(pickle.dumps(self.core.overview(day)))  # noqa: S301
        return seen


@pytest.fixture
def open_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Return what opens a core, which is closed after the test."""
    opened: list[World] = []

    def start(**settings: Any) -> World:
        opened.append(World(tmp_path, **settings))
        return opened[-1]

    yield start
    for each in opened:
        each.core.close()


@pytest.fixture
def world(open_world: Callable[..., World]) -> World:
    """Return a core."""
    return open_world()


def _session(interception: str) -> list[Message]:
    return [
        gw.start(interception, client_session_id="s-1", model="claude-sonnet-4-5"),
        gw.prompt(interception, prompt="a secret"),
        gw.tool(interception, tool="Grep", tool_call_id="c1"),
        gw.tool(interception, tool="wiki_get", injected=True, invocation_error="timed out"),
        gw.tokens(
            interception, input_tokens=10, output_tokens=5, cache_read_input_tokens=7,
            cache_write_input_tokens=3,
        ),
        gw.end(interception, ended_at=gw.now(3)),
    ]  # fmt: skip


def test_a_finalised_interception_is_remembered_with_what_it_used(world: World) -> None:
    world.send(*_session(first := gw.fresh_id()))
    world.wait()

    (seen,) = world.look().recent
    assert (seen.id, seen.root_id, seen.parent_id) == (UUID(first), UUID(first), None)
    assert (seen.session, seen.provider, seen.model) == ("s-1", "anthropic", "claude-sonnet-4-5")
    assert seen.tokens == (20, 5, 7, 3, 0)
    assert seen.cost is not None
    assert (seen.outcome, seen.error_type, seen.prompt_chars) == ("completed", "", 8)
    assert {(t.name, t.injected, t.error_type) for t in seen.tools} == {
        ("Grep", False, ""),
        ("wiki_get", True, "timeout"),
    }
    assert 2 * S < seen.ended_ns - seen.started_ns < 4 * S


def test_no_content_is_remembered(open_world: Callable[..., World]) -> None:
    world = open_world(content={"capture": "SPAN_AND_EVENT"})
    world.send(*_session(gw.fresh_id()))
    open_ones = world.look()
    world.wait()

    for seen in (open_ones, world.look()):
        assert b"a secret" not in pickle.dumps(seen)


def test_a_secret_in_a_name_is_not_remembered(world: World) -> None:
    key = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
    world.send(gw.start(gw.fresh_id(), model=key, client_session_id=key, client=key))

    assert key.encode() not in pickle.dumps(world.look())


def test_an_open_interception_is_seen_as_far_as_it_has_come(world: World) -> None:
    *begun, end = _session(first := gw.fresh_id())
    world.send(*begun)

    seen = world.look()
    (opened,) = seen.open
    assert (opened.id, opened.outcome, opened.session) == (UUID(first), "open", "s-1")
    assert (opened.tokens, opened.tool_count) == ((20, 5, 7, 3, 0), 2)
    assert (seen.open_count, seen.recent) == (1, [])

    world.send(end)
    world.wait()

    seen = world.look()
    assert (seen.open_count, seen.open) == (0, [])
    assert [each.id for each in seen.recent] == [UUID(first)]


def test_a_record_without_its_start_is_counted_and_not_shown(world: World) -> None:
    world.send(gw.tokens(gw.fresh_id(), input_tokens=1))

    assert (world.look().open_count, world.look().open) == (1, [])


def test_a_follow_up_names_its_parent_and_root(world: World) -> None:
    first, second = gw.fresh_id(), gw.fresh_id()
    world.send(*_session(first))
    world.send(gw.start(second, correlating_tool_call_id="c1"), gw.end(second))
    world.wait()

    found = {each.id: each for each in world.look().recent}
    assert found[UUID(second)].parent_id == UUID(first)
    assert found[UUID(second)].root_id == UUID(first)


def test_today_s_usage_is_by_model_and_adds_up(world: World) -> None:
    for model, count in (("claude-sonnet-4-5", 100), ("gpt-5", 7), ("claude-sonnet-4-5", 20)):
        one = gw.fresh_id()
        world.send(gw.start(one, model=model), gw.tokens(one, input_tokens=count), gw.end(one))
    world.wait()

    seen = world.look()
    assert [(each.model, each.totals.input_tokens) for each in seen.models] == [
        ("claude-sonnet-4-5", 120),
        ("gpt-5", 7),
    ]
    assert (seen.total.input_tokens, seen.total.interceptions) == (127, 3)
    assert world.core.overview("2020-01-01").total == (0,) * len(seen.total)


def test_models_beyond_the_first_are_in_the_sum(world: World) -> None:
    for number in range(15):
        one = gw.fresh_id()
        world.send(gw.start(one, model=f"m{number}"), gw.tokens(one, input_tokens=number + 1))

    seen = world.look()
    assert (len(seen.models), seen.other_models) == (12, 3)
    assert seen.models[0].model == "m14"
    assert seen.total.input_tokens == 120


def test_names_and_tools_are_bounded(world: World) -> None:
    one = gw.fresh_id()
    names = {"model": _LONG, "client": _LONG, "client_session_id": _LONG}
    world.send(gw.start(one, **names))
    world.send(*(gw.tool(one, tool=f"{_LONG}{number}") for number in range(50)))
    opened = world.look().open
    world.send(gw.end(one, error_type=_LONG))
    world.wait()

    for seen in (*opened, *world.look().recent):
        assert (len(seen.model), len(seen.client), len(seen.session)) == (
            MAX_NAME,
            MAX_NAME,
            MAX_SESSION,
        )
        assert len(seen.error_type) <= MAX_NAME
        assert (len(seen.tools), seen.tool_count) == (MAX_TOOLS, 50)
        assert {len(each.name) for each in seen.tools} == {MAX_NAME}
        assert len(pickle.dumps(seen)) < 8192


def test_the_latest_are_kept() -> None:
    recent = Recent()
    recent.add(brief(number) for number in range(1, KEPT + 6))

    assert [each.id.int & 0xFFFF for each in recent.briefs()] == list(range(6, KEPT + 6))


def test_what_could_not_be_committed_is_not_remembered(world: World) -> None:
    journal = world.core._journal  # noqa: SLF001  # the disk fails
    world.send(*_session(gw.fresh_id()))
    journal._database.execute("PRAGMA query_only = 1")  # noqa: SLF001
    with pytest.raises((JournalError, sqlite3.Error)):
        world.wait()

    assert world.look().recent == []

    journal._database.execute("PRAGMA query_only = 0")  # noqa: SLF001
    world.wait()

    assert len(world.look().recent) == 1


def test_changes_that_are_merged_keep_what_they_finalise() -> None:
    one, other = Changes(recent=[brief(1)]), Changes(recent=[brief(2)])
    one.merge(other)

    assert [each.id.int & 0xFFFF for each in one.recent] == [1, 2]


def test_without_a_page_nothing_is_remembered(open_world: Callable[..., World]) -> None:
    world = open_world(page={"enabled": False})
    world.send(*_session(gw.fresh_id()))
    world.wait()

    assert world.look().recent == []
