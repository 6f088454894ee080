"""Cleaning: what is about to be told loses its secrets, and what of it is too long.

All records pass here once, before anything is made of them for any
destination. Ids that others are compared with are left as they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from otelbridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    ModelThought,
    PromptUsed,
    TokensUsed,
    ToolUsed,
)
from otelbridge.domain.usage import USAGE_KEYS
from otelbridge.telemetry import instruments as ins
from otelbridge.telemetry.metadata import USERNAME, json_of
from otelbridge.telemetry.servers import MAX_URL
from otelbridge.telemetry.truncation import MARK, MARK_JSON, MIN_BYTES, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.interception import Closed, Interception, Thread
    from otelbridge.domain.ledger import Changes
    from otelbridge.domain.records import Identity, MetadataValue, Record
    from otelbridge.telemetry.redaction import Redactor
    from otelbridge.telemetry.truncation import Shortener

    _Metadata = Mapping[str, MetadataValue]

_R = TypeVar("_R", bound="Record")

# Texts of a start that a client decides, and what an operator may have mixed up.
_NAMES = ("model", "client", "user_agent", "client_session_id", "api_key_id", "provider_name")
_SAYING = (PromptUsed, ToolUsed, ModelThought)
_CONTENT = {PromptUsed: "prompt", ToolUsed: "input", ModelThought: "content"}
_KINDS = {PromptUsed: "prompt", ToolUsed: "tool", ModelThought: "thought"}
_WITHOUT_WORDS = frozenset((TokensUsed,))
_WITHOUT_NAMES = frozenset((TokensUsed, PromptUsed, ModelThought, InterceptionEnded))
# Starts of open interceptions that are remembered, as they are told.
_REMEMBERED = 4096
# Told metadata ends before; a cut here goes through no secret.
_MAX_METADATA = 4096
_MAX_CACHED = 64
_NOT_TOLD = USAGE_KEYS | {USERNAME}


class _Start(NamedTuple):
    """A start as it was sent and as it is told, and what each rule found in it."""

    sent: InterceptionStarted
    told: InterceptionStarted
    found: dict[str, int]


class Cleaner:
    """Cleans what is told.

    Args:
        redactor: Finds secrets.
        shortener: Cuts a text to what one may take.
        total_bytes: What all content of an interception may take.
        tells_content: Whether any destination is told content.
    """

    def __init__(
        self, redactor: Redactor, shortener: Shortener, *, total_bytes: int, tells_content: bool
    ) -> None:
        self.redactor = redactor
        self.shortener = shortener
        self.tells_content = tells_content
        # Kinds of record of which nothing is cleaned but metadata: they need no call.
        self._quiet = _WITHOUT_WORDS if tells_content else _WITHOUT_NAMES
        self._total_bytes = total_bytes
        self._starts: dict[Identity, _Start] = {}
        self.url = lru_cache(maxsize=1024)(self._url)

    def start(
        self, start: InterceptionStarted, found: dict[str, int] | None = None
    ) -> InterceptionStarted:
        """Return a start as it is told; the same object each time, as long as it is remembered.

        Args:
            start: The start.
            found: How many secrets each rule found: added to.
        """
        remembered = self._starts.get(start.identity)
        if remembered is None or remembered.sent is not start:
            if len(self._starts) >= _REMEMBERED:
                self._starts.clear()
            remembered = self._starts[start.identity] = self._start(start)
        if found is not None and remembered.found:
            _add(found, remembered.found)
        return remembered.told

    def with_safe_name(self, tool: ToolUsed) -> ToolUsed:
        """Return a tool use whose name may become a label."""
        name = self.redactor.redact_name(tool.tool, {})
        return tool if name == tool.tool else replace(tool, tool=name)

    def closed(self, closed: Closed) -> Closed:
        """Return what is remembered of a told interception, as it is told."""
        labels, name = closed.labels, self.redactor.redact_name
        clean = replace(
            labels,
            model=name(labels.model, {}),
            client=name(labels.client, {}),
            provider_name=name(labels.provider_name, {}),
        )
        return closed if clean == labels else replace(closed, labels=clean)

    def interception(self, told: Interception, changes: Changes) -> Interception:
        """Return an interception as it is told, and count what was taken out."""
        work = Cleaning(self, room=self._total_bytes)
        quiet = self._quiet
        records = tuple(
            [
                each
                if type(each) in quiet and (not (sent := each.metadata) or sent.keys() <= _NOT_TOLD)
                else work.record(each)
                for each in told.records
            ]
        )
        thread = self._thread(told.thread)
        work.count(changes)
        if told.start is not None:
            self._starts.pop(told.start.identity, None)
        if records == told.records and thread is told.thread:  # as a rule they are the same
            return told
        told_as = {id(each): clean for each, clean in zip(told.records, records, strict=True)}
        return replace(
            told,
            records=records,
            start=cast("InterceptionStarted | None", told_as.get(id(told.start))),
            end=cast("InterceptionEnded | None", told_as.get(id(told.end))),
            thread=thread,
        )

    def late(self, record: _R, changes: Changes) -> _R:
        """Return a record that is told alone, and count what was taken out."""
        work = Cleaning(self, room=self._total_bytes)
        clean = work.record(record)
        work.count(changes)
        self._starts.pop(record.identity, None)
        return clean

    def metadata(self, metadata: _Metadata, found: dict[str, int]) -> _Metadata:
        """Return metadata without secrets; the same object if there are none."""
        clean = {
            self.redactor.redact_name(key, found): self._value(value, found)
            for key, value in metadata.items()
        }
        return metadata if clean == metadata else clean

    def _start(self, start: InterceptionStarted) -> _Start:
        found: dict[str, int] = {}
        fields: dict[str, Any] = {}
        for field in _NAMES:
            value = getattr(start, field)
            if value and (clean := self.redactor.redact_name(value, found)) != value:
                fields[field] = clean
        if not start.metadata.keys() <= _NOT_TOLD:
            fields["metadata"] = self.metadata(start.metadata, found)
        return _Start(start, replace(start, **fields) if fields else start, found)

    def _value(self, value: MetadataValue, found: dict[str, int]) -> MetadataValue:
        if value is None or isinstance(value, int | float):
            return value
        text = value if isinstance(value, str) else json_of(value)
        if len(text) <= _MAX_CACHED:
            return self.redactor.redact_name(text, found)
        if len(text) > _MAX_METADATA:
            text = text[: self.redactor.safe_end(text, _MAX_METADATA)]
        return self.redactor.redact(text, found)

    def _url(self, url: str) -> str:
        """Return a URL without secrets in its path; the rest of it that may be secret is not told.

        A marker in the place of the user would make it one that cannot be read.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            return url
        path = self.redactor.redact(parts.path, {})
        return url if path == parts.path else urlunsplit((parts.scheme, parts.netloc, path, "", ""))

    def _thread(self, thread: Thread) -> Thread:
        """Return the thread with the names of the parent's tools as they are told."""
        parent = thread.parent
        if parent is None or not parent.tools:
            return thread
        tools = tuple(
            [replace(each, tool=self.redactor.redact_name(each.tool, {})) for each in parent.tools]
        )
        if tools == parent.tools:
            return thread
        return replace(thread, parent=replace(parent, tools=tools))


class Cleaning:
    """Cleans records that are told together.

    Args:
        cleaner: Knows how.
        room: How many bytes their content may take.
    """

    def __init__(self, cleaner: Cleaner, *, room: int) -> None:
        self._cleaner = cleaner
        self._tells_content = cleaner.tells_content
        self._room = room
        self._found: dict[str, int] = {}
        self._truncated: dict[str, int] = {}

    def record(self, record: _R) -> _R:
        """Return a record as it is told; itself if there is nothing to clean."""
        if isinstance(record, InterceptionStarted):
            return cast("_R", self._cleaner.start(record, self._found))
        fields: dict[str, Any] = {}
        if record.metadata and not record.metadata.keys() <= _NOT_TOLD:
            metadata = self._cleaner.metadata(record.metadata, self._found)
            if metadata is not record.metadata:
                fields["metadata"] = metadata
        if isinstance(record, ToolUsed):
            self._tool(record, fields)
        if self._tells_content:
            if isinstance(record, _SAYING):
                self._content(record, fields)
            elif isinstance(record, InterceptionEnded) and record.error_message:
                self._words(record.error_message, "error_message", fields)
        return replace(record, **fields) if fields else record

    def count(self, changes: Changes) -> None:
        """Count what was taken out."""
        for rule, number in self._found.items():
            changes.count(ins.CONTENT_REDACTED, rule, amount=number)
        for kind, number in self._truncated.items():
            changes.count(ins.CONTENT_TRUNCATED, kind, amount=number)

    def _tool(self, tool: ToolUsed, fields: dict[str, Any]) -> None:
        name = self._cleaner.redactor.redact_name(tool.tool, self._found)
        if name != tool.tool:
            fields["tool"] = name
        url = tool.server_url
        if url and len(url) <= MAX_URL and (clean := self._cleaner.url(url)) != url:
            fields["server_url"] = clean
        if tool.invocation_error and self._tells_content:
            self._words(tool.invocation_error, "invocation_error", fields)

    def _content(
        self, record: PromptUsed | ToolUsed | ModelThought, fields: dict[str, Any]
    ) -> None:
        kind = type(record)
        text: str | None = getattr(record, _CONTENT[kind])
        if not text:
            return
        found: dict[str, int] = {}
        clean, is_cut = self._cleaned(text, found, is_json=kind is ToolUsed)
        self._room -= size_of(clean)
        if clean is not text:
            fields[_CONTENT[kind]] = clean
            fields["redacted"] = sum(found.values())
            _add(self._found, found)
        if is_cut and not record.prints.sha256:
            digest = hashlib.sha256(text.encode()).digest()
            fields["prints"] = record.prints._replace(sha256=digest)
        if is_cut or record.prints.sha256:
            self._truncated[_KINDS[kind]] = self._truncated.get(_KINDS[kind], 0) + 1

    def _cleaned(self, text: str, found: dict[str, int], *, is_json: bool) -> tuple[str, bool]:
        """Return a text as it is told, and whether it was cut."""
        if self._room < MIN_BYTES:
            return (MARK_JSON if is_json else MARK), True
        shortener, redactor = self._cleaner.shortener, self._cleaner.redactor
        cut, redact = (
            (shortener.json, redactor.redact_json) if is_json else (shortener.text, redactor.redact)
        )
        # Secrets are looked for in what is told; and markers take room, too.
        short = cut(text, self._room)
        clean = redact(short, found)
        told = clean if clean is short else cut(clean, self._room)
        return told, short is not text or told is not clean

    def _words(self, text: str, field: str, fields: dict[str, Any]) -> None:
        """Clean the words of a failure; a status has a message of one line or two."""
        clean = self._cleaner.redactor.redact(self._cleaner.shortener.text(text), self._found)
        if clean is not text:
            fields[field] = clean


def _add(found: dict[str, int], more: dict[str, int]) -> None:
    for rule, number in more.items():
        found[rule] = found.get(rule, 0) + number
