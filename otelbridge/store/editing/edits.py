"""What people do to a store: users, their keys and gateways come, change and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from otelbridge.domain.access import Status
from otelbridge.errors import StoreError, escaped
from otelbridge.store.problems import problem_lines
from otelbridge.store.schema import GatewayTable, KeyTable, UserTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from otelbridge.store.editing.text import StoreText
    from otelbridge.store.keygen import NewGatewayKey, NewKey
    from otelbridge.store.schema import Table

_TABLES: Mapping[str, type[Table]] = {"user": UserTable, "key": KeyTable, "gateway": GatewayTable}
# Who was deleted, or never was a person, does not come back by way of a suspension.
_CHANGEABLE = frozenset({Status.ACTIVE, Status.SUSPENDED, Status.DORMANT})
_LAST_ONE = (
    'MCP server "{server}" has no other token than that of "{user}": give it one, or remove it, '
    "first; until then `otelbridge users suspend` ends the user's access"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What went with a user.

    Attributes:
        keys: Ids of their keys.
        budgets: How many budgets of their own they had.
        servers: Ids of the MCP servers at which they had an own static token.
    """

    keys: tuple[str, ...]
    budgets: int
    servers: tuple[str, ...]


class StoreEdit:
    """One edit of a store.

    Every method raises a StoreError, and changes nothing, if a value is not
    allowed, is used already, or is not found.

    Args:
        text: The store file's text.
    """

    def __init__(self, text: StoreText) -> None:
        self._text = text

    def add_user(self, name: str, user_id: str) -> None:
        """Add an active user.

        Args:
            name: Not used yet.
            user_id: A UUID that is not used yet.
        """
        row = {"id": user_id.lower(), "name": name, "status": Status.ACTIVE.value}
        _check("user", row)
        self._refuse_repeated("user", "name", name)
        self._refuse_repeated("user", "id", user_id)
        self._text.append("user", row)

    def set_status(self, name: str, status: Status) -> bool:
        """Let a user's keys be accepted, or not.

        Args:
            name: The user's.
            status: Active or suspended.

        Returns:
            Whether that is a change.
        """
        index = self._find("user", "name", name)
        old = Status(self._text.rows("user")[index].get("status", Status.ACTIVE))
        if old not in _CHANGEABLE:
            allowed = "only an active, suspended or dormant user can become"
            raise StoreError([f'user "{escaped(name)}" is {old}: {allowed} {status}'])
        if old is not status:
            self._text.set("user", index, {"status": status.value})
        return old is not status

    def status_of(self, name: str) -> Status:
        """Return a user's status."""
        row = self._text.rows("user")[self._find("user", "name", name)]
        return Status(row.get("status", Status.ACTIVE))

    def remove_user(self, name: str) -> Removed:
        """Remove a user, and all that is theirs: a store cannot name a user that it does not have.

        An MCP server whose only token is theirs would be left without one:
        that is refused.
        """
        index = self._find("user", "name", name)
        servers = self._token_servers(name)
        keys = tuple(str(row["id"]) for row in self._text.rows("key") if row["user"] == name)
        budgets = sum(row["user"] == name for row in self._text.rows("budget"))
        self._text.remove("user", index)
        self._remove_of("key", name)
        self._remove_of("budget", name)
        if servers:
            self._text.remove_tokens(name)
        return Removed(keys=keys, budgets=budgets, servers=servers)

    def add_key(self, user: str, key: NewKey, *, expires_at: datetime | None = None) -> None:
        """Add a key of a user.

        Args:
            user: The user's name.
            key: A key that was just drawn.
            expires_at: The first instant at which it is refused, aware; None for never.
        """
        self._find("user", "name", user)
        row = {"id": key.id, "user": user, "secret_sha256": key.secret_sha256}
        self._text.append("key", row if expires_at is None else {**row, "expires_at": expires_at})

    def remove_key(self, key_id: str) -> str:
        """Remove a key; return its user's name."""
        problems = [line for line in _problems("key", {"id": key_id}) if "key.id:" in line]
        if problems:  # it may be a whole key, with its secret: not repeated
            raise StoreError(problems)
        index = self._find("key", "id", key_id)
        user = str(self._text.rows("key")[index]["user"])
        self._text.remove("key", index)
        return user

    def add_gateway(self, name: str, key: NewGatewayKey) -> None:
        """Add a gateway; its name is not used yet."""
        row = {"name": name, "key_sha256": key.key_sha256}
        _check("gateway", row)
        self._refuse_repeated("gateway", "name", name)
        self._text.append("gateway", row)

    def remove_gateway(self, name: str) -> None:
        """Remove a gateway."""
        self._text.remove("gateway", self._find("gateway", "name", name))

    def _find(self, array: str, field: str, value: str) -> int:
        for index, row in enumerate(self._text.rows(array)):
            if row[field] == value:
                return index
        raise StoreError([f'no {array} has the {field} "{escaped(value)}"'])

    def _refuse_repeated(self, array: str, field: str, value: str) -> None:
        # A UUID is the same in both cases.
        fold = str.lower if field == "id" else str
        if any(fold(row[field]) == fold(value) for row in self._text.rows(array)):
            raise StoreError([f'{array}.{field}: "{escaped(value)}" is used already'])

    def _token_servers(self, user: str) -> tuple[str, ...]:
        found = []
        for server in self._text.rows("mcp_server"):
            auth = server.get("auth", {})
            tokens = auth.get("tokens", {})
            if user in tokens:
                found.append(str(server["id"]))
            if list(tokens) == [user] and "token" not in auth:
                raise StoreError([_LAST_ONE.format(server=server["id"], user=user)])
        return tuple(found)

    def _remove_of(self, array: str, user: str) -> None:
        rows = self._text.rows(array)
        # From the last one: those before it keep their place.
        for index in [i for i, row in enumerate(rows) if row["user"] == user][::-1]:
            self._text.remove(array, index)


def _check(array: str, row: Mapping[str, Any]) -> None:
    problems = _problems(array, row)
    if problems:
        raise StoreError(problems)


def _problems(array: str, row: Mapping[str, Any]) -> list[str]:
    try:
        _TABLES[array].model_validate(row)
    except ValidationError as error:
        return [f"{array}.{line}" for line in problem_lines(error)]
    return []
