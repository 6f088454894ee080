"""Which stream ids a peer has used, in bounded memory."""

from __future__ import annotations

from typing import Final

# How far behind the highest id one may still come. A Go client numbers streams before it
# writes them, from many goroutines, but never has more than 256 that were not accepted.
_SPAN: Final = 4096
_ALL: Final = (1 << (_SPAN + 1)) - 2


class PeerIds:
    """The ids of the streams that a peer has opened: each may come once.

    They may come in another order than that of their numbers. Of those below
    the highest, the last 4,096 that were skipped are known as bits of one
    number; what lies further back counts as used (the window of RFC 4303,
    section 3.4.3).

    Args:
        first: The lowest id; the others differ by a multiple of 2.
    """

    __slots__ = ("_first", "_highest", "_skipped")

    def __init__(self, first: int) -> None:
        self._first = first
        self._highest = first - 2
        # Bit k: the id `_highest - 2 * k` was not used.
        self._skipped = 0

    def is_valid(self, stream_id: int) -> bool:
        """Whether the peer may use this id at all."""
        return stream_id >= self._first and not (stream_id - self._first) % 2

    def use(self, stream_id: int) -> bool:
        """Mark a valid id as used, and return whether it was unused."""
        steps = (stream_id - self._highest) // 2
        if steps <= 0:
            return self._use_late(-steps)
        self._highest = stream_id
        if steps > 1 or self._skipped:
            self._skip(steps)
        return True

    def _skip(self, steps: int) -> None:
        """Move the bits on, and set those of the ids between the old highest and the new."""
        if steps > _SPAN:
            self._skipped = _ALL
        else:
            self._skipped = (self._skipped << steps | (1 << steps) - 2) & _ALL

    def _use_late(self, back: int) -> bool:
        if back > _SPAN or not self._skipped >> back & 1:
            return False
        self._skipped ^= 1 << back
        return True
