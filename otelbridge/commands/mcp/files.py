"""The store and its tokens, as a person's shell can see them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from otelbridge.commands.settings import read_settings
from otelbridge.domain.access import OAuth2Auth, StaticAuth
from otelbridge.errors import ConfigError, escaped
from otelbridge.store import load_store
from otelbridge.store.token_file import TokenFile

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.domain.access import McpServer, Secret, Snapshot, User

_TOKENS = "tokens.json"
# No secret has a line break: they are refused when the store is loaded.
_UNSET = "environment variable that is not set: "


class Files(NamedTuple):
    """What the commands work on.

    Attributes:
        store_name: How errors name the store file.
        snapshot: What it holds. Secrets from variables that are not set in
            this shell are stand-ins; see `unset_variable`.
        tokens: The users' logins.
    """

    store_name: str
    snapshot: Snapshot
    tokens: TokenFile

    def server(self, server_id: str) -> McpServer:
        """Return an MCP server.

        Raises:
            ConfigError: If there is none of that id.
        """
        servers = self.snapshot.mcp_servers
        if server_id not in servers:
            known = ", ".join(servers) or "none"
            raise ConfigError(
                "",
                f'{self.store_name}: no MCP server has the id "{escaped(server_id)}"; '
                f"known: {escaped(known, 400)}",
            )
        return servers[server_id]

    def user(self, name: str) -> User:
        """Return a user.

        Raises:
            ConfigError: If nobody has that name.
        """
        user = self.find_user(name)
        if user is None:
            raise ConfigError("", f'{self.store_name}: no user is named "{escaped(name)}"')
        return user

    def find_user(self, name: str) -> User | None:
        """Return a user, None if nobody has that name."""
        return next((user for user in self.snapshot.users.values() if user.name == name), None)


class _Shell(Mapping[str, str]):
    """This process's environment, and a stand-in for each variable that is not set.

    What the commands are for must not need every secret of the server.
    """

    def __getitem__(self, key: str) -> str:
        return os.environ.get(key, f"{_UNSET}{key}")

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)


def opened(config_path: Path) -> Files:
    """Open the store that the settings name.

    Raises:
        ConfigError: If the settings are wrong.
        StoreError: If the store file is wrong.
    """
    path = read_settings(config_path, os.environ).store.path
    return Files(path.name, load_store(path, _Shell()), TokenFile(path.with_name(_TOKENS)))


def unset_variable(secret: Secret | None) -> str:
    """Return the variable that would hold a secret; empty if the secret is here."""
    text = "" if secret is None else secret.reveal()
    return text.removeprefix(_UNSET) if text.startswith(_UNSET) else ""


def oauth2_of(server: McpServer) -> OAuth2Auth:
    """Return how a server's tokens are got.

    Raises:
        ConfigError: If they are not got from an authorization server.
    """
    if isinstance(server.auth, OAuth2Auth):
        return server.auth
    kind = "static" if isinstance(server.auth, StaticAuth) else "none"
    raise ConfigError("", f'MCP server "{server.id}": auth.kind is {kind}, nobody logs in there')


def uuid_of(text: str) -> UUID | None:
    """Return a user's id, None if the text is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
