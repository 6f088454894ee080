"""Content: what users and models said, as the conventions' JSON messages.

Source: GenAI semantic conventions, gen-ai-input-messages.json and
gen-ai-output-messages.json. Everything that may be content passes here, and
has passed `otelbridge.telemetry.cleaning` before.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelbridge.domain.records import ModelThought, PromptUsed, ToolUsed


def input_messages(prompts: Iterable[PromptUsed]) -> list[bytes]:
    """Return the attribute that holds prompts, a message each; nothing if none was kept."""
    messages = [
        {"role": "user", "parts": [{"type": "text", "content": prompt.prompt}]}
        for prompt in prompts
        if prompt.prompt is not None
    ]
    return [wire.text(sc.INPUT_MESSAGES, _json(messages))] if messages else []


def output_messages(thoughts: Iterable[ModelThought]) -> list[bytes]:
    """Return the attribute that holds thoughts, parts of one message; nothing if none was kept."""
    parts = [
        {"type": "reasoning", "content": thought.content}
        for thought in thoughts
        if thought.content is not None
    ]
    if not parts:
        return []
    return [wire.text(sc.OUTPUT_MESSAGES, _json([{"role": "assistant", "parts": parts}]))]


def tool_arguments(tool: ToolUsed) -> list[bytes]:
    """Return the attribute that holds a tool's arguments; nothing if they were not kept."""
    return [] if tool.input is None else [wire.text(sc.TOOL_ARGUMENTS, tool.input)]


def changes_of(records: Sequence[PromptUsed | ToolUsed | ModelThought]) -> list[bytes]:
    """Return what became of the records' content on its way; nothing if it is as it was sent.

    A hash is told of a text that was cut, if it is the only one.
    """
    redacted, cut = 0, []
    for record in records:
        redacted += record.redacted
        if record.prints.sha256:
            cut.append(record.prints.sha256)
    found = [wire.integer(sc.CONTENT_REDACTED, redacted)] if redacted else []
    if cut:
        found.append(wire.integer(sc.CONTENT_TRUNCATED, len(cut)))
    if len(cut) == 1:
        found.append(wire.text(sc.CONTENT_SHA256, cut[0].hex()))
    return found


def _json(messages: object) -> str:
    return json.dumps(messages, ensure_ascii=False, separators=(",", ":"))
