"""When a session can be closed so that no call is in flight.

A gateway's call that is on its way when the session is closed fails, and with
it a user's request; one that begins a moment later waits for the next session.
Right after an answer is the worst moment: whoever waited for it goes on to the
next call. So a session is closed when no answer is owed and nothing has come
for a while. The longer that does not happen, the shorter it needs to be.

Under a load without any pause it never happens. So in the end answers are held
back: soon everybody who calls waits for us, nothing more comes, and what was
held back leaves together with the goodbye.
"""

from __future__ import annotations

# A call that follows an answer comes within a few round trips.
_LONG_S = 0.02
_SHORT_S = 0.003
# A gateway waits 5 s for most answers: it does not notice so little. What the end of the time to
# drain is, if that is short: this part of it.
_HOLD_S = 0.25
_HOLD_PART = 0.25
# A timer may be early by less than this.
_STEP_S = 0.001


class Draining:
    """Says how long it must have been quiet, and when answers are held back.

    Args:
        now: The present time, in seconds since any fixed instant.
        grace_s: How long there is, in seconds.
    """

    def __init__(self, now: float, *, grace_s: float) -> None:
        self._began = now
        self._grace_s = grace_s
        # When it was quiet first: when the gateway had been heard, and when that was seen.
        self._seen: tuple[float, float] | None = None
        self._hold_at = now + grace_s - min(_HOLD_S, grace_s * _HOLD_PART)

    def is_holding(self, now: float) -> bool:
        """Whether answers are held back."""
        return now >= self._hold_at

    def quiet_s(self, now: float) -> float:
        """Return how long nothing must have come, in seconds."""
        left = 1 - (now - self._began) / self._grace_s if self._grace_s else 0.0
        return max(_SHORT_S, _LONG_S * left)

    def is_quiet(self, now: float, *, heard_at: float) -> bool:
        """Whether nothing has come for long enough.

        Args:
            now: The present time.
            heard_at: When the gateway was last heard.
        """
        return now - max(heard_at, self._began) >= self.quiet_s(now)

    def is_over(self, now: float, *, heard_at: float) -> bool:
        """Whether it was quiet when somebody looked before, and still is.

        A busy event loop looks before it reads what has come long ago; by the
        next time it has.
        """
        if not self.is_quiet(now, heard_at=heard_at):
            return False
        if self._seen is not None and self._seen[0] == heard_at:
            return now - self._seen[1] >= _STEP_S / 2
        self._seen = heard_at, now
        return False

    def next_look(self, now: float, *, heard_at: float) -> float:
        """Return when something may have changed, if nothing comes and nothing is answered."""
        if self._seen is not None and self._seen[0] == heard_at:
            return now + _STEP_S
        quiet_at = max(heard_at, self._began) + self.quiet_s(now)
        at = [each for each in (quiet_at, self._hold_at) if each > now]
        return max(min(at, default=now + _LONG_S), now + _STEP_S)
