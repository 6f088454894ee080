"""What agents of two people do with three models of two providers, and what it adds up to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.struct_pb2 import Value

from tests.interop.programs import environment
from tests.interop.sent import Interception, Record, Tool, interceptions, parent_of
from tests.interop.session import Turn
from tests.store.files import ALICE, BOB, GATEWAY, PEOPLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: The store: the user of a label has a budget, one for the month and one of its own for the day.
STORE = f"""{GATEWAY}{PEOPLE}
[[budget]]
user = "*"
limit_usd = "50.00"
period = "month"

[[budget]]
user = "bob"
limit_usd = "0.10"
period = "day"
"""
UNPRICED = "house-model-1"
_MS = 1_000_000
# The turn that the provider refuses: it asks for no tool, so what follows up on it is a
# thread of its own.
_FAILS = 3


class _Agent(NamedTuple):
    """Who asks what with which agent."""

    user: str
    provider: str
    model: str
    client: str


_AGENTS = (
    _Agent(ALICE, "anthropic", "claude-sonnet-4-5-20250929", "Claude Code"),
    _Agent(BOB, "openai", "gpt-5.1", "Codex"),
    _Agent(BOB, "openai", UNPRICED, "Codex"),
)


class Workload:
    """The records, and their sums.

    Attributes:
        records: What is sent, in this order.
        sent: The same by interception.
    """

    def __init__(self, now_ns: int) -> None:
        self.records: list[Record] = []
        for number, agent in enumerate(_AGENTS):
            after: str | None = None
            for turn in range(4 + number):
                begin = now_ns - (20 - turn) * 1000 * _MS
                size, fails = turn + 1, turn == _FAILS
                self.records += _turn(agent, begin, size=size, fails=fails, after=after)
                after = f"{self.records[-1].id}-Read"  # type: ignore[union-attr]  # an end
        self.sent = interceptions(self.records)

    def total(self, count: Callable[[Interception], float], by: str | None = None) -> Sums:
        """Return a sum over all interceptions, or one for each value of a field of the start."""
        found: Counter[str] = Counter()
        for each in self.sent:
            key = "" if by is None else str(getattr(each.start, by))
            found[key] += count(each)  # type: ignore[assignment]  # a float
        return {key: float(value) for key, value in found.items() if value}

    def number(self, kind: type[Record]) -> int:
        """Return how many records of a kind were sent."""
        return sum(isinstance(record, kind) for record in self.records)

    def begun(self, each: Interception) -> bool:
        """Return whether an interception begins a thread."""
        return parent_of(each, self.sent) is None

    def tools(self) -> list[Tool]:
        """Return every tool call."""
        return [record for record in self.records if isinstance(record, Tool)]


Sums = dict[str, float]


def tokens(each: Interception) -> float:
    """Return all tokens of an interception."""
    return each.input_tokens + each.output_tokens


def _turn(
    agent: _Agent, begin_ns: int, *, size: int, fails: bool, after: str | None
) -> list[Record]:
    """Return one request with a prompt, a thought and tools of two servers; the fourth fails."""
    turn = Turn(begin_ns, initiator_id=agent.user, after=after)
    turn.start.provider, turn.start.model = agent.provider, agent.model
    turn.start.client = agent.client
    turn.start.metadata["Username"].CopyFrom(_packed(Value(string_value=agent.user)))
    if fails:
        return [turn.start, turn.prompt(5), turn.end(200.0 * size, error="rate_limited")]
    used = turn.tokens(50, counted=(100 * size, 40 * size), cached=(1000 * size, 200 * size))
    ran = turn.injected_tool(80, "search_issues", error=None if size > 1 else "timeout of it")
    if size % 2 == 0:
        ran.server_url = ran.server_url.replace("mcp.", "wiki.")
    used.metadata["output_reasoning"].CopyFrom(_packed(Value(number_value=10 * size)))
    return [
        turn.start,
        turn.prompt(5),
        used,
        turn.thought(60),
        turn.tool(70, "Read"),
        ran,
        turn.end(300.0 * size),
    ]


def refused(now_ns: int, *, count: int) -> list[Record]:
    """Return requests that a third provider refused."""
    found: list[Record] = []
    for _ in range(count):
        turn = Turn(now_ns, initiator_id=ALICE)
        turn.start.provider = "mistral"
        found += [turn.start, turn.end(100.0, error="rate_limited")]
    return found


def _packed(value: Value) -> Packed:
    packed = Packed()
    packed.Pack(value)
    return packed


def ledger(folder: Path, by: str) -> list[dict[str, Any]]:
    """Return what `otelbridge usage` says of the bridge of a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "otelbridge", "usage", "--by", by, "--json"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
