"""Validation errors become lines that people can act on: key, value, what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel

from otelbridge.config.sections import Config
from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from otelbridge.config.overlay import Overlay

_TOML_BITS = 64
_NOT_A_TABLE = "not a table"
_NOT_A_LIST = "not a list"
# What stands in the place of a table may hold a secret: these say nothing of the value.
_TEXTS = {
    "missing": "missing, it has no default",
    "string_type": "not a string",
    "string_unicode": "not valid UTF-8",
    "path_type": "not a string",
    "dict_type": _NOT_A_TABLE,
    "model_type": _NOT_A_TABLE,
    "model_attributes_type": _NOT_A_TABLE,
    "tuple_type": _NOT_A_LIST,
}
_NOT_A_SIZE = 'is not a number of bytes, or a size such as "1GiB"'
# These come after the value.
_TEXTS_OF_VALUE = {
    "bool_type": "is not true or false",
    "bool_parsing": "is not true or false",
    "int_type": "is not an integer",
    "int_parsing": "is not an integer",
    "int_parsing_size": "is not an integer",
    "int_from_float": "is not an integer",
    "float_type": "is not a number",
    "float_parsing": "is not a number",
    "finite_number": "is not a finite number",
    "byte_size": _NOT_A_SIZE,
    "byte_size_unit": _NOT_A_SIZE,
    "literal_error": "is not one of {expected}",
    "string_pattern_mismatch": "does not match {pattern}",
    "greater_than": "is not more than {gt}",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le}",
}


def problems_of(error: ValidationError, overlay: Overlay) -> list[tuple[str, str]]:
    """Return the key and what is wrong with it, for each mistake.

    A key that the environment set is called by its variable.
    """
    return [
        (_key(detail, overlay), _text(detail))
        for detail in error.errors(include_url=False, include_context=True)
    ]


def _key(detail: ErrorDetails, overlay: Overlay) -> str:
    path = [escaped(str(part)) for part in detail["loc"]]
    is_unknown = detail["type"] == "extra_forbidden"
    return overlay.source_of(path, is_unknown=is_unknown) or ".".join(path)


def _text(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return f"unknown key; known: {', '.join(_known_keys(detail))}"
    if kind == "tuple_type" and detail["loc"] == ("destination",):
        return "not a list: each destination is a table [[destination]]"
    text = _TEXTS_OF_VALUE.get(kind)
    if text is not None:
        return f"{_shown(detail)} {text.format(**context)}"
    return _TEXTS.get(kind, detail["msg"][:1].lower() + detail["msg"][1:])


def _shown(detail: ErrorDetails) -> str:
    value = detail["input"]
    if any(not field.repr for _, field in _way(detail)):
        return "the value"  # a secret
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{escaped(value)}"'
    if isinstance(value, int) and value.bit_length() > _TOML_BITS:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to print the largest
    return str(value) if isinstance(value, int | float) else f"a {type(value).__name__}"


def _known_keys(detail: ErrorDetails) -> list[str]:
    table = next((model for model, _ in reversed(list(_way(detail))) if model), Config)
    return [field.alias or name for name, field in table.model_fields.items()]


def _way(detail: ErrorDetails) -> Iterator[tuple[type[BaseModel] | None, FieldInfo]]:
    """Yield the fields on the way to a key, each with the section that it holds, if any."""
    section: type[BaseModel] | None = Config
    for part in detail["loc"]:
        field = section.model_fields.get(str(part)) if section else None
        if field is not None:
            kinds = (field.annotation, *get_args(field.annotation))
            section = next(
                (k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None
            )
            yield section, field
