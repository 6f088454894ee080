"""A story as a tree on a terminal, or as plain text where there is none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text
from rich.tree import Tree

from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelbridge.commands.story import Conversation, Told, Tool

_NS = 1_000_000_000
_ID_LENGTH = 8
_NAME_LENGTH = 64
_OTHER = "_OTHER"  # the conventions' word for an error of no known type


def conversation_tree(conversation: Conversation) -> Tree:
    """Return a conversation: its people and its interceptions, each with its offset."""
    first = conversation.told[0]
    name = escaped(first.conversation, _ID_LENGTH) or "none"
    who = Text.assemble(
        (escaped(first.user), "bold"),
        f" with {escaped(first.client) or 'an unknown client'}",
        (f"  conversation {name}", "dim"),
    )
    tree = Tree(who, guide_style="dim")
    for told in conversation.told:
        branch = tree.add(_interception(told, since_ns=conversation.started_ns))
        for line in _details(told):
            branch.add(line)
    return tree


def totals(conversations: Iterable[Conversation]) -> list[str]:
    """Return what everything adds up to, in lines."""
    told = [each for conversation in conversations for each in conversation.told]
    kinds: Counter[str] = Counter()
    for each in told:
        kinds.update(each.tokens)
    tools = [tool for each in told for tool in each.tools]
    run = sum(tool.injected for tool in tools)
    cost = sum(each.cost_usd for each in told)
    cached = f"{kinds['cache read']:,} from cache, {kinds['cache write']:,} to cache"
    return [
        f"{len(told)} interceptions of {len({each.user for each in told})} people, ${cost:.4f}",
        f"tokens: {kinds['in']:,} in ({cached}), {kinds['out']:,} out",
        f"tools: {len(tools) - run} asked for, {run} executed",
    ]


def _interception(told: Told, *, since_ns: int) -> Text:
    offset = f"+{(told.started_ns - since_ns) / _NS:.1f} s"
    line = Text.assemble(
        (f"{offset:>8}  ", "cyan"),
        (f"chat {escaped(told.model, _NAME_LENGTH)}", "bold"),
        f"  {told.duration_s:.1f} s",
    )
    if told.error:
        line.append(f"  failed: {escaped(told.error)}", "red")
    return line


def _details(told: Told) -> Iterable[Text]:
    if told.prompts:
        lengths = " + ".join(f"{length:,}" for length in told.prompts)
        yield Text(f"prompt of {lengths} characters")
    elif told.follows:
        yield Text("a tool's result, no prompt")
    yield _tokens(told)
    for tool, count in Counter(told.tools).items():
        line = _tool(tool)
        if count > 1:
            line.append(f" {count} times")
        yield line


def _tokens(told: Told) -> Text:
    tokens = told.tokens
    read, written = tokens["cache read"], tokens["cache write"]
    cached = [f"{read:,} from cache"] * bool(read) + [f"{written:,} to cache"] * bool(written)
    inside = f" ({', '.join(cached)})" if cached else ""
    reasoning = f" ({tokens['reasoning']:,} reasoning)" if tokens["reasoning"] else ""
    line = Text(f"tokens {tokens['in']:,} in{inside}, {tokens['out']:,} out{reasoning}")
    cost = "unknown price" if told.unpriced and not told.cost_usd else f"${told.cost_usd:.4f}"
    line.append(f"  {cost}", "green")
    return line


def _tool(tool: Tool) -> Text:
    name = escaped(tool.name, _NAME_LENGTH)
    if not tool.injected:
        return Text(f"asked for {name}")
    line = Text.assemble((f"execute_tool {name}", "bold"), f" on {escaped(tool.server) or '?'}")
    if tool.error:
        reason = "" if tool.error == _OTHER else f": {escaped(tool.error)}"
        line.append(f"  failed{reason}", "red")
    return line
