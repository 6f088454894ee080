"""Recent interceptions: what the page shows of each, in few bytes and without any content."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from otelbridge.domain.ports import Cost

#: How many finalised interceptions are kept. Each takes 8 kB at most, as a rule 1 kB.
KEPT = 200
#: How many open interceptions are shown, the newest.
OPEN_SHOWN = 20
#: How many tool uses of an interception are kept.
MAX_TOOLS = 16
#: Length of a name in a brief, in characters; a session's name may be a longer one.
MAX_NAME = 64
MAX_SESSION = 128


class ToolBrief(NamedTuple):
    """A tool use.

    Attributes:
        name: The tool's name, at most 64 characters of it.
        at_ns: When.
        injected: Whether the gateway ran it.
        error_type: Why the gateway could not; empty if it could, or did not try.
    """

    name: str
    at_ns: int
    injected: bool
    error_type: str


class TokenBrief(NamedTuple):
    """Tokens of an interception, as `otelbridge.domain.usage.Usage` counts them.

    Attributes:
        input: All input tokens, cached ones included.
        output: All output tokens.
        cache_read: Input tokens read from a cache.
        cache_write: Input tokens written to a cache.
        reasoning: Output tokens spent on reasoning.
    """

    input: int
    output: int
    cache_read: int
    cache_write: int
    reasoning: int


class Brief(NamedTuple):
    """One interception. Names are a client's text: at most 64 characters of it, not escaped.

    Attributes:
        id: Its id.
        root_id: The root of its thread.
        parent_id: The interception whose tool result it carries; None if it carries none.
        session: The client's name for its conversation, at most 128 characters of it.
        provider: ``gen_ai.provider.name``.
        model: The model.
        client: The client.
        started_ns: Its start.
        ended_ns: Its end, or the greatest time of its records.
        outcome: ``completed``, ``error``, ``incomplete`` or ``orphan``; ``open`` while
            it is not finalised.
        error_type: Why it failed; empty if it did not.
        tokens: What it used; None without a token record.
        cost: What that cost; None if nothing of it has a price, or it is open.
        is_unpriced: Whether a part has no price.
        prompt_chars: Length of its prompts, in Unicode code points.
        tools: Its first tool uses.
        tool_count: How many there are.
    """

    id: UUID
    root_id: UUID
    parent_id: UUID | None
    session: str
    provider: str
    model: str
    client: str
    started_ns: int
    ended_ns: int
    outcome: str
    error_type: str
    tokens: TokenBrief | None
    cost: Cost | None
    is_unpriced: bool
    prompt_chars: int
    tools: tuple[ToolBrief, ...]
    tool_count: int


class Recent:
    """The latest interceptions that were finalised and committed. For one thread."""

    def __init__(self) -> None:
        self._kept: deque[Brief] = deque(maxlen=KEPT)

    def add(self, briefs: Iterable[Brief]) -> None:
        """Keep what a transaction finalised, once it has been committed."""
        self._kept.extend(briefs)

    def briefs(self) -> list[Brief]:
        """Return what is kept, the oldest first."""
        return list(self._kept)
