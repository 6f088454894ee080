"""Redaction: secrets in free text are replaced by markers before anything is told.

All built-in formats are one RE2 pattern, the operator's own rules another:
a text is searched once for each, in time that grows with its length alone.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import re2

from otelbridge.config.redaction_rules import rules_of
from otelbridge.telemetry.truncation import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

# What a marker can be: rule names are checked when the settings are read.
_MARKER = re.compile(rb"(\[REDACTED:[a-z0-9._-]{1,32}\])")
# The tokens of a JSON text that can hold a secret, if it is one.
_JSON_STRING = re.compile(r'"(?>[^"\\]+|\\.)*+"')
# How far behind a cut a secret is looked for that the cut would go through.
_MARGIN = 4096
# Secrets that are replaced one by one, each for 20 µs. A text that holds more is no prompt
# but an attack, or a list of them: it is cut there.
_MAX_SECRETS = 1000
# Names come again and again: models, clients, sessions.
_REMEMBERED = 4096
_MAX_NAME = 256
# A lone surrogate comes of an escape in JSON; it is no reason to fail.
_ERRORS = "surrogatepass"


class _Hit(NamedTuple):
    start: int
    end: int
    rule: str


class _Rules:
    """Rules that are one pattern. A rule that stands before another wins where both match.

    Args:
        patterns: RE2 patterns, by the rules' names.
        encoding: ``LATIN1`` for patterns that speak of ASCII alone: negated
            classes take single bytes then, which makes a small automaton.
    """

    def __init__(self, patterns: Mapping[str, str], encoding: re2.Options.Encoding) -> None:
        joined = "|".join(f"({pattern})" for pattern in patterns.values()).encode()
        self._finder = re2.compile(joined, _options(encoding, never_capture=True))
        self._pattern = re2.compile(joined, _options(encoding, never_capture=False))
        self._groups: list[tuple[str, range]] = []
        first = 1
        for name, pattern in patterns.items():
            inner = re2.compile(pattern, _options(re2.Options.Encoding.UTF8)).groups
            self._groups.append((name, range(first, first + inner + 1)))
            first += inner + 1

    def find(self, data: bytes) -> bool:
        """Return whether anything matches."""
        return self._finder.search(data) is not None

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield where something matches, its surroundings included."""
        for match in self._finder.finditer(data):
            if match.start() < match.end():
                yield match.span()

    def first(self, data: bytes) -> _Hit | None:
        """Return where the first secret is, and which rule found it."""
        for match in self._pattern.finditer(data):
            if match.start() < match.end():
                return self._hit(match)
        return None

    def _hit(self, match: re2._Match) -> _Hit:
        rule, groups = next(each for each in self._groups if match.start(each[1][0]) >= 0)
        inner = (match.span(group) for group in groups[1:])
        # A pattern's own group is the secret; without one all of it is.
        start, end = next((span for span in inner if 0 <= span[0] < span[1]), match.span())
        return _Hit(start, end, rule)


class Redactor:
    """Replaces secrets by markers such as ``[REDACTED:github-token]``.

    What it returns is not changed if it is redacted again.

    Args:
        rules: ``[content.redaction]``: patterns by name, and which built-in
            formats are left out.
    """

    def __init__(self, rules: Mapping[str, bool | str]) -> None:
        builtin, own = rules_of(rules)
        encodings = re2.Options.Encoding
        self._builtin = [_Rules(builtin, encodings.LATIN1)] if builtin else []
        self._own = [_Rules(own, encodings.UTF8)] if own else []
        self._rules = [*self._builtin, *self._own]
        self._name = lru_cache(maxsize=_REMEMBERED)(self._redacted)

    def redact(self, text: str, found: MutableMapping[str, int]) -> str:
        """Return a text without its secrets.

        Args:
            text: The text; nothing is parsed.
            found: How many secrets each rule found: added to. Behind the
                thousandth of all the text is cut.
        """
        if not self._rules:
            return text
        data = _encoded(text)
        if not _find(self._rules, data):
            return text
        # Markers stand at the odd places.
        pieces = _MARKER.split(data)
        pieces[::2] = [self._without_secrets(piece, found) for piece in pieces[::2]]
        redacted = b"".join(pieces)
        return text if redacted == data else redacted.decode(errors=_ERRORS)

    def redact_json(self, text: str, found: MutableMapping[str, int]) -> str:
        """Return a JSON text without its secrets; it is still one.

        Strings are searched as what they stand for, escapes undone, and the
        text as it is: a rule may look at a key and its value. What is no JSON
        is redacted as any text.

        Args:
            text: The text.
            found: How many secrets each rule found: added to.
        """
        if not self._rules or self._is_clean(text):
            return text
        strings = _strings(text)
        if strings is None:
            return self.redact(text, found)
        if self._find_in(strings):
            text = _JSON_STRING.sub(lambda token: self._redacted_token(token[0], found), text)
        redacted = self.redact(text, found)
        if redacted is text or _strings(redacted) is not None:
            return redacted
        return json.dumps(redacted, ensure_ascii=False)

    def redact_name(self, text: str, found: MutableMapping[str, int]) -> str:
        """Return `redact` of a short text that comes again and again.

        Of one that is longer than any name only the beginning.
        """
        if not text or not self._rules:
            return text
        if len(text) > _MAX_NAME:  # not to be remembered
            beginning = text if len(text) <= _MARGIN else text[: self.safe_end(text, _MARGIN)]
            return self.redact(beginning, found)
        redacted, rules = self._name(text)
        if rules:
            for rule, count in rules:
                found[rule] = found.get(rule, 0) + count
        return redacted

    def safe_end(self, text: str, end: int) -> int:
        """Return where a text can be cut, at ``end`` or before, and no secret or marker with it."""
        data = text[: end + _MARGIN].encode(errors=_ERRORS)
        spans = [span for rules in self._rules for span in rules.spans(data)]
        spans += [marker.span() for marker in _MARKER.finditer(data)]
        cut = whole = len(text[:end].encode(errors=_ERRORS))
        while through := [start for start, stop in spans if start < cut < stop]:
            cut = min(through)
        return end if cut == whole else len(data[:cut].decode(errors=_ERRORS))

    def _is_clean(self, text: str) -> bool:
        """Return whether it is plain to see that a JSON text holds no secret."""
        # Without escapes its strings are parts of it. An own rule may want all of a string.
        return not self._own and "\\" not in text and not _find(self._rules, _encoded(text))

    def _find_in(self, strings: list[str]) -> bool:
        return _find(self._builtin, _encoded("\0".join(strings))) or (
            bool(self._own) and any(_find(self._own, _encoded(each)) for each in strings)
        )

    def _redacted(self, text: str) -> tuple[str, tuple[tuple[str, int], ...]]:
        found: dict[str, int] = {}
        return self.redact(text, found), tuple(found.items())

    def _redacted_token(self, token: str, found: MutableMapping[str, int]) -> str:
        value = json.loads(token)
        redacted = self.redact(value, found)
        return token if redacted is value else json.dumps(redacted, ensure_ascii=False)

    def _without_secrets(self, data: bytes, found: MutableMapping[str, int]) -> bytes:
        """Replace secrets until there are none in what is between the markers."""
        done: list[bytes] = []
        waiting = [data]
        left = _MAX_SECRETS - sum(found.values())
        while waiting:
            piece = waiting.pop()
            hit = None if _MARKER.fullmatch(piece) else self._first(piece)
            if hit is None:
                done.append(piece)
            elif left <= 0:
                done.append(MARK.encode())
                break
            else:
                left -= 1
                found[hit.rule] = found.get(hit.rule, 0) + 1
                marker = f"[REDACTED:{hit.rule}]".encode()
                waiting += (piece[hit.end :], marker, piece[: hit.start])
        return b"".join(done)

    def _first(self, data: bytes) -> _Hit | None:
        return next(filter(None, (rules.first(data) for rules in self._rules)), None)


def _find(rules: list[_Rules], data: bytes) -> bool:
    return any(each.find(data) for each in rules)


def _encoded(text: str) -> bytes:
    return text.encode(errors=_ERRORS)


def _strings(text: str) -> list[str] | None:
    """Return every string and key of a JSON text; None if it is no JSON."""
    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):
        return None
    found: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            found += value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found


def _options(encoding: re2.Options.Encoding, *, never_capture: bool = False) -> re2.Options:
    options = re2.Options()
    options.encoding = encoding
    options.never_capture = never_capture
    options.log_errors = False
    return options
