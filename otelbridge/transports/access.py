"""Who may call: gateway keys, certificates, and what a local process may do without."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from otelbridge.domain.access import NEEDS_TRUST, NO_KEY, REFUSED, WRONG_KEY, RefusedCallError
from otelbridge.servicers.failures import FailureLimit, source_of
from otelbridge.telemetry.instruments import CALLS_REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otelbridge.errors import CallError
    from otelbridge.servicers.methods import Count

    #: Returns the name of the gateway whose key this is; None if it is nobody's.
    Gatekeeper: TypeAlias = Callable[[str], str | None]

#: Metadata key under which a stock gateway sends its key.
GATEWAY_KEY = "x-coder-ai-governance-gateway-key"
_AUTHORIZATION = "authorization"
_BEARER = "bearer "  # the scheme's case does not matter (RFC 9110, section 11.1)


class Caller(NamedTuple):
    """Who calls.

    Attributes:
        gateway: Name of the gateway whose key was shown; empty without one.
        trusted: Whether a right key or a verified certificate was shown.
        refused: Whether a key was shown and was nobody's.
    """

    gateway: str
    trusted: bool
    refused: bool = False


class Door:
    """Establishes who calls, says what they may call, and counts who may not.

    A key is looked up at each call and no verdict is kept: a key that was
    revoked is refused at once, and the look-up is about 1 µs of a call's 150.
    """

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        *,
        clock_ns: Callable[[], int],
        count: Count,
        is_open: bool,
        certified: bool = False,
    ) -> None:
        """Create the door.

        Args:
            gatekeeper: Knows the gateways' keys.
            clock_ns: The bridge's clock.
            count: Counts refused calls.
            is_open: Whether a call without a key may use what needs no trust.
            certified: Whether every connection has shown a verified certificate.
        """
        self._gatekeeper = gatekeeper
        self._count = count
        self._limit = FailureLimit("refused calls", clock_ns=clock_ns, hint=f": {REFUSED}")
        self._is_open = is_open
        self._keyless = Caller("", trusted=certified)
        self._wrong = Caller("", trusted=certified, refused=not certified)

    def identify(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Return who sent this metadata; one right key is enough."""
        caller = self._keyless
        for key, value in metadata:
            if key in {GATEWAY_KEY, _AUTHORIZATION} and isinstance(value, str):
                gateway = self._gateway(key, value)
                if gateway is not None:
                    return Caller(gateway, trusted=True)
                caller = self._wrong
        return caller

    def admits(self, caller: Caller, method: str) -> bool:
        """Return whether the caller may call ``Service/Method``."""
        if caller.trusted:
            return True
        return self._is_open and not caller.refused and method not in NEEDS_TRUST

    def refusal(self, caller: Caller) -> RefusedCallError:
        """Return why a caller that is not admitted is refused."""
        return RefusedCallError(WRONG_KEY if caller.refused else NO_KEY)

    def turn_away(self, refused: RefusedCallError, peer: str) -> CallError:
        """Count a refused call; return what is answered.

        An address with too many of them is told the limit beside the one text
        of all refusals. Right keys never come here: whoever shares an address
        with a guesser is not limited.

        Args:
            refused: Why it is refused.
            peer: The caller's address, see `otelbridge.servicers.failures.source_of`.
        """
        limited = self._limit.exceeded_by(source_of("", peer))
        self._count(CALLS_REFUSED, refused.reason if limited is None else "rate_limited")
        return limited or refused

    def _gateway(self, key: str, value: str) -> str | None:
        if key == GATEWAY_KEY:
            return self._gatekeeper(value)
        if value[: len(_BEARER)].lower() != _BEARER:
            return None
        return self._gatekeeper(value[len(_BEARER) :].strip())
