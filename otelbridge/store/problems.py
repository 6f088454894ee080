"""Validation errors become lines that people can act on: place, value, what is allowed.

Only values of enumerations are repeated here. Any other may be a secret in
the wrong place; fields that are none show theirs in words of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.errors import escaped
from otelbridge.store.schema import (
    BedrockTable,
    BudgetTable,
    Document,
    GatewayTable,
    KeyTable,
    McpServerTable,
    NoAuthTable,
    OAuth2AuthTable,
    ProviderTable,
    StaticAuthTable,
    UserTable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_KINDS: Mapping[str, type[BaseModel]] = {
    "none": NoAuthTable,
    "static": StaticAuthTable,
    "oauth2": OAuth2AuthTable,
}
# The table that a key is in, by the last name on the way to the key.
_TABLES: Mapping[str, type[BaseModel]] = {
    "gateway": GatewayTable,
    "user": UserTable,
    "key": KeyTable,
    "mcp_server": McpServerTable,
    "provider": ProviderTable,
    "bedrock": BedrockTable,
    "budget": BudgetTable,
    **_KINDS,
}
_TEXTS = {
    "missing": "missing, it has no default",
    "string_type": "not a string",
    "bool_type": "not true or false",
    "list_type": "not a list",
    "dict_type": "not a table",
    "model_type": "not a table",
    "model_attributes_type": "not a table",
    "union_tag_not_found": "kind is missing: none, static or oauth2",
}


def problem_lines(error: ValidationError) -> list[str]:
    """Return a line for each mistake: its place and what is wrong."""
    return [f"{_place(detail)}: {_text(detail)}" for detail in error.errors(include_url=False)]


def _place(detail: ErrorDetails) -> str:
    """Return the place as ``mcp_server[1].auth.client_id``."""
    text = ""
    for before, part in zip((None, *detail["loc"]), detail["loc"], strict=False):
        if isinstance(part, int):
            text += f"[{part}]"
        elif before != "auth" or part not in _KINDS:  # a union's tag is no part of the file
            text += f".{escaped(part)}"
    return text.removeprefix(".")


def _text(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return f"unknown key; known: {', '.join(_known_keys(detail))}"
    if kind == "list_type" and len(detail["loc"]) == 1:
        return f"not an array of tables, write [[{detail['loc'][0]}]]"
    if kind in {"enum", "literal_error"}:
        return f"{_shown(detail['input'])} is not one of {context['expected']}"
    if kind == "union_tag_invalid":
        return f'kind "{escaped(str(context["tag"]))}" is not one of none, static, oauth2'
    return _TEXTS.get(kind, detail["msg"][:1].lower() + detail["msg"][1:])


def _known_keys(detail: ErrorDetails) -> list[str]:
    names = [part for part in detail["loc"][:-1] if isinstance(part, str)]
    table = _TABLES[names[-1]] if names else Document
    return list(table.model_fields)


def _shown(value: object) -> str:
    return f'"{escaped(value)}"' if isinstance(value, str) else f"a {type(value).__name__}"
