"""Labels: a client's text is made safe, and bounded in number, before it becomes one.

Of each attribute key the first values are admitted, for good; every further
value is told as ``_OTHER`` and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.errors import escaped
from otelbridge.telemetry import instruments, semconv

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelbridge.domain.ledger import Changes

#: How many values a label may have where the configuration says nothing.
DEFAULT_LIMIT = 100
#: Length of a client's text in labels and span names, in characters.
MAX_LENGTH = 64

# Not a client's text, or told as itself in any case: they take no room.
_ALWAYS = frozenset(("", semconv.OTHER, semconv.UNKNOWN))
_NONE: frozenset[str] = frozenset()


class Labels:
    """Admits values as labels.

    What is admitted in a transaction counts from its commit on, so that a
    failed one leaves nothing behind: use fresh `Changes` for each transaction
    and call `committed` after its commit. Called in the core's thread only;
    `known` may be called from any.

    Args:
        limits: How many values a label may have, by attribute key.
        admitted: Values admitted by former processes, by attribute key. They
            stay admitted, even above a limit that was lowered.
    """

    def __init__(
        self,
        limits: Mapping[str, int] | None = None,
        admitted: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self._limits = dict(limits or {})
        self._admitted = {key: set(values) for key, values in (admitted or {}).items()}

    def value(self, key: str, text: str, changes: Changes) -> str:
        """Return the label for a client's text, admitting it if there is room.

        Args:
            key: The attribute key.
            text: The text as sent.
            changes: The transaction: it keeps what is admitted, and counts
                what is not.

        Returns:
            The safe text, or ``_OTHER`` if the label has too many values.
        """
        admitted = self._admitted.get(key, _NONE)
        if text in admitted or text in _ALWAYS:
            return text
        safe = escaped(text, MAX_LENGTH)
        fresh = changes.admitted.get(key, [])
        if safe in admitted or safe in fresh:
            return safe
        if len(admitted) + len(fresh) >= self._limits.get(key, DEFAULT_LIMIT):
            changes.count(instruments.LABEL_OVERFLOW, key)
            return semconv.OTHER
        changes.admitted.setdefault(key, []).append(safe)
        return safe

    def has(self, key: str, text: str) -> bool:
        """Return whether a text is admitted for good, as it is."""
        return text in self._admitted.get(key, _NONE) or text in _ALWAYS

    def known(self, key: str, text: str) -> str:
        """Return the label for a client's text as it is admitted now; admits nothing."""
        safe = escaped(text, MAX_LENGTH)
        fits = safe in self._admitted.get(key, _NONE) or safe in _ALWAYS
        return safe if fits else semconv.OTHER

    def committed(self, changes: Changes) -> None:
        """Admit what a transaction admitted, once it has been committed."""
        for key, values in changes.admitted.items():
            self._admitted.setdefault(key, set()).update(values)
