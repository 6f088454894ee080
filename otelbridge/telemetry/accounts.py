"""Accounts: whose usage is counted, under which names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from time import gmtime, strftime
from typing import TYPE_CHECKING

from otelbridge.domain.interception import Labels, labels_of
from otelbridge.domain.ledger import UsageKey
from otelbridge.telemetry import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from otelbridge.domain.interception import Closed
    from otelbridge.domain.records import Identity, InterceptionStarted
    from otelbridge.telemetry.providers import ProviderNames

_DAY_S = 86_400
_DAY_NS = _DAY_S * 1_000_000_000
# A name in the usage table, in characters: it is a client's text.
_MAX_NAME = 256
# Open interceptions whose account is remembered; about 0.5 kB each.
_REMEMBERED = 4096


@dataclass(slots=True)
class Account:
    """What is counted under whose name.

    Attributes:
        user_id: The initiator; None for an orphan.
        provider: ``gen_ai.provider.name``.
        model: The model as sent; ``unknown`` if it is empty.
        client: The client as sent.
        row: The usage table's key without the day: user, provider, model and client.
        is_canary: Whether it is a canary's, of which nothing is counted.
    """

    user_id: UUID | None
    provider: str
    model: str
    client: str
    row: tuple[bytes, str, str, str]
    is_canary: bool = False
    _day: int = -1
    _usage_key: UsageKey | None = None

    def usage_key(self, at_ns: int) -> UsageKey:
        """Return the row of the usage table for a record of this time."""
        day = at_ns // _DAY_NS
        if self._usage_key is None or day != self._day:  # most records are of one day
            self._day, self._usage_key = day, UsageKey(_day(day), *self.row)
        return self._usage_key


class Accounts:
    """Knows the account of every interception.

    Args:
        providers: Names providers.
        as_told: Returns a start as it is told; a start itself if not given.
    """

    def __init__(
        self,
        providers: ProviderNames,
        as_told: Callable[[InterceptionStarted], InterceptionStarted] | None = None,
    ) -> None:
        self._providers = providers
        self._as_told = as_told
        self._remembered: dict[Identity | None, Account] = {}

    def of(self, start: InterceptionStarted | None) -> Account:
        """Return the account of an interception with this start; None is an orphan's."""
        key = start.identity if start else None
        account = self._remembered.get(key)
        if account is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            if start is not None and self._as_told is not None:
                start = self._as_told(start)
            user_id = start.initiator_id if start else None
            account = self._account(user_id, labels_of(start))
            if start is not None and sc.CANARY in start.metadata:
                account.is_canary = True
            self._remembered[key] = account
        return account

    def of_closed(self, closed: Closed) -> Account:
        """Return the account of an interception that was told."""
        return self._account(closed.initiator_id, closed.labels)

    def _account(self, user_id: UUID | None, sent: Labels) -> Account:
        provider = self._providers.name(sent.provider, sent.model)
        model = sc.UNKNOWN if user_id is None else sent.model[:_MAX_NAME]
        user = b"" if user_id is None else user_id.bytes
        row = (user, provider, model, sent.client[:_MAX_NAME])
        return Account(user_id, provider, sent.model or sc.UNKNOWN, sent.client, row)


@lru_cache(maxsize=512)
def _day(number: int) -> str:
    """Return ``YYYY-MM-DD`` for a number of days since 1970, UTC."""
    return strftime("%Y-%m-%d", gmtime(number * _DAY_S))
