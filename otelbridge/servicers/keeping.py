"""Keeping: what of a request's content goes to the disk."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from otelbridge.domain.records import NO_PRINTS, Prints, RecordKind
from otelbridge.errors import InvalidRequestError
from otelbridge.recording import Received
from otelbridge.servicers.messages import Receipt, identity_of, parse_request, record_of
from otelbridge.telemetry.semconv import CANARY, OTHER
from otelbridge.telemetry.servers import tool_error_type
from otelbridge.telemetry.truncation import fits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.recording import Submission
    from otelbridge.telemetry.fingerprint import Fingerprinter
    from otelbridge.telemetry.truncation import Shortener

_CONTENT: Mapping[RecordKind, str] = MappingProxyType(
    {RecordKind.PROMPT: "prompt", RecordKind.TOOL: "input", RecordKind.THOUGHT: "content"}
)
_WORDS: Mapping[RecordKind, str] = MappingProxyType(
    {RecordKind.END: "error_message", RecordKind.TOOL: "invocation_error"}
)
# A member that is looked up in its class takes four times as long.
_START, _TOOL = RecordKind.START, RecordKind.TOOL
# Nothing in these is content: most calls report one of them.
_WITHOUT_TEXT = frozenset(RecordKind) - _CONTENT.keys() - _WORDS.keys()


class Kept(NamedTuple):
    """What became of a request's content.

    Attributes:
        length: Its length in Unicode code points, if not all of it was kept.
        prints: What else is known of it.
        is_changed: Whether the request is another now.
    """

    length: int | None = None
    prints: Prints = NO_PRINTS
    is_changed: bool = False


class RequestReader:
    """Reads requests; see `otelbridge.recording.values.Reader`.

    Content that nobody will be told is replaced by its length, and the words
    of a failure by its type; of what is too long to be told only the
    beginning is kept. The record's identity is that of the request as sent.

    Args:
        shortener: Cuts content to what may be told.
        fingerprinter: Makes fingerprints of prompts and arguments, if they are wanted.
    """

    def __init__(self, shortener: Shortener, fingerprinter: Fingerprinter | None = None) -> None:
        self._shortener = shortener
        self._fingerprinter = fingerprinter

    def __call__(self, submission: Submission, *, keep_content: bool) -> Received:
        """Return the record that a request tells, and how it will be kept.

        Raises:
            InvalidRequestError: See `parse_request` and `record_of`; or if a
                gateway's start has the metadata key of canaries, which are
                not counted.
        """
        kind, raw, received_at_ns, _, is_canary = submission
        request: Any = parse_request(kind, raw)
        identity = identity_of(kind, request)
        if kind in _WITHOUT_TEXT:
            record = record_of(kind, request, Receipt(received_at_ns, identity))
            if kind is _START and CANARY in record.metadata and not is_canary:
                raise InvalidRequestError(f'metadata key "{CANARY}" is reserved')
            return Received(record, raw)
        length, prints, is_changed = self.keep(kind, request, keep_content=keep_content)
        payload = request.SerializeToString() if is_changed else raw
        receipt = Receipt(received_at_ns, identity, length, prints)
        return Received(record_of(kind, request, receipt), payload, length, prints.pack())

    def keep(self, kind: RecordKind, request: Any, *, keep_content: bool) -> Kept:
        """Leave of a request's content what is kept; return what is known of the rest."""
        is_changed = self._keep_words(kind, request, keep_content=keep_content)
        name = _CONTENT.get(kind)
        if name is None:
            return Kept(is_changed=is_changed)
        text = getattr(request, name)
        prints = self._prints(kind, text)
        if not keep_content:
            request.ClearField(name)
            return Kept(len(text), prints, is_changed=True)
        if fits(text, self._shortener.max_bytes):
            return Kept(None, prints, is_changed)
        cut = self._shortener.json if kind is _TOOL else self._shortener.text
        setattr(request, name, cut(text))
        digest = hashlib.sha256(text.encode()).digest()
        return Kept(len(text), prints._replace(sha256=digest), is_changed=True)

    def _keep_words(self, kind: RecordKind, request: Any, *, keep_content: bool) -> bool:
        """Leave of the words of a failure what is kept; return whether anything changed."""
        name = _WORDS.get(kind)
        words = getattr(request, name) if name else ""
        if not name or not words or (keep_content and fits(words, self._shortener.max_bytes)):
            return False
        if keep_content:
            setattr(request, name, self._shortener.text(words))
        elif kind is _TOOL:
            request.invocation_error = tool_error_type(words)
        else:
            request.error_type = request.error_type or OTHER
            request.ClearField(name)
        return True

    def _prints(self, kind: RecordKind, text: str) -> Prints:
        if self._fingerprinter is None or kind is RecordKind.THOUGHT:
            return NO_PRINTS
        if kind is RecordKind.PROMPT:
            return Prints(self._fingerprinter.prompt(text))
        return Prints(self._fingerprinter.tool_input(text))
