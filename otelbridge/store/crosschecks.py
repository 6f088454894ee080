"""What concerns several keys or tables of a store file: duplicates, references, what is missing.

These rules read the file as it was parsed, so that they hold, and tell every
mistake, also where some tables are wrong in themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Table, key, and whether the value may be repeated in an error.
_UNIQUE = (
    ("gateway", "name", True),
    ("gateway", "key_sha256", False),
    ("user", "id", True),
    ("user", "name", True),
    ("key", "id", False),
    ("mcp_server", "id", True),
    ("provider", "name", True),
    ("budget", "user", True),
)
# Hexadecimal texts are the same in both cases.
_CASELESS = {("gateway", "key_sha256"), ("user", "id")}


def cross_problems(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each mistake: its place and what is wrong."""
    if not any(data.values()):
        yield "there is no table in it: a truncated file must not lock everybody out"
    for section, field, is_shown in _UNIQUE:
        yield from _repeated(data, section, field, is_shown=is_shown)
    yield from _dangling(data)
    yield from _coder_tokens(data)
    yield from _incomplete(data)


def _repeated(
    data: Mapping[str, Any], section: str, field: str, *, is_shown: bool
) -> Iterator[str]:
    first: dict[str, int] = {}
    for index, value in _column(data, section, field):
        key = value.lower() if (section, field) in _CASELESS else value
        before = first.setdefault(key, index)
        if before != index:
            shown = f'"{escaped(value)}"' if is_shown else "the value"
            yield f"{section}[{index}].{field}: {shown} is used already, by {section}[{before}]"


def _dangling(data: Mapping[str, Any]) -> Iterator[str]:
    names = {name for _, name in _column(data, "user", "name")}
    for index, name in _column(data, "key", "user"):
        if name not in names:
            yield f'key[{index}].user: no user is named "{escaped(name)}"'
    for index, name in _column(data, "budget", "user"):
        if name not in names and name != "*":
            yield f'budget[{index}].user: no user is named "{escaped(name)}", nor is it "*"'
    for index, table in _tables(data, "mcp_server"):
        auth = table.get("auth")
        tokens = auth.get("tokens") if isinstance(auth, dict) else None
        for name in tokens if isinstance(tokens, dict) else ():
            if name not in names:
                place = f"mcp_server[{index}].auth.tokens"
                yield f'{place}: no user is named "{escaped(name)}"'


def _coder_tokens(data: Mapping[str, Any]) -> Iterator[str]:
    receivers = [i for i, t in _tables(data, "mcp_server") if t.get("receives_coder_token") is True]
    for index in receivers[1:]:
        yield (
            f"mcp_server[{index}].receives_coder_token: true already for "
            f"mcp_server[{receivers[0]}], at most one is allowed"
        )


def _incomplete(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the schema says too, but only of tables whose every key is right."""
    for index, table in _tables(data, "mcp_server"):
        auth = table.get("auth")
        for problem in _missing(auth) if isinstance(auth, dict) else ():
            yield f"mcp_server[{index}].auth: {problem}"


def _missing(auth: dict[str, Any]) -> Iterator[str]:
    kind = auth.get("kind")
    if kind == "static" and "token" not in auth and auth.get("tokens", {}) == {}:
        yield "static needs token (one for all) or tokens (one a user)"
    if kind == "oauth2" and "token_url" not in auth and "issuer" not in auth:
        yield "oauth2 needs token_url, or issuer to discover it"
    is_for_all = kind == "oauth2" and auth.get("grant") == "client_credentials"
    if is_for_all and "client_secret" not in auth:
        yield "grant client_credentials needs client_secret"


def _column(data: Mapping[str, Any], section: str, field: str) -> Iterator[tuple[int, str]]:
    for index, table in _tables(data, section):
        value = table.get(field)
        if isinstance(value, str):
            yield index, value


def _tables(data: Mapping[str, Any], section: str) -> Iterator[tuple[int, dict[str, Any]]]:
    tables = data.get(section)
    for index, table in enumerate(tables if isinstance(tables, list) else ()):
        if isinstance(table, dict):
            yield index, table
