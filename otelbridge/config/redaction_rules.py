"""The rules of ``[content.redaction]``: checked when the settings are read."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, TypeAlias

import re2
from pydantic import AfterValidator, PlainValidator

from otelbridge.config.secret_formats import SECRET_FORMATS
from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Names all built-in formats together.
BUILTIN = "builtin"
# It stands in markers and is a label.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_SWITCHES: Mapping[str, bool] = MappingProxyType({"true": True, "false": False})


def rules_of(given: Mapping[str, bool | str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the patterns of the built-in formats that are in use, and the operator's own."""
    builtin = {
        name: each.pattern
        for name, each in SECRET_FORMATS.items()
        if given.get(name, given.get(BUILTIN, True)) is True
    }
    return builtin, {name: rule for name, rule in given.items() if isinstance(rule, str)}


def _rule(value: object) -> bool | str:
    if isinstance(value, str):  # in a variable all values are text
        value = _SWITCHES.get(value.lower(), value)
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError("not a pattern, true or false")  # noqa: TRY004  # pydantic's way
    compiled = _compiled(value)
    if compiled.groupindex:
        raise ValueError(f'"{escaped(value)}" has a named group, plain ones are allowed')
    if compiled.search("") is not None:
        raise ValueError(f'"{escaped(value)}" matches an empty text')
    return value


def _compiled(pattern: str, *, shown: str = "") -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        subject = shown or f'"{escaped(pattern)}" is not an RE2 pattern'
        raise ValueError(f"{subject}: {escaped(text)}") from None


def _rules(given: dict[str, bool | str]) -> dict[str, bool | str]:
    for name, rule in given.items():
        known = name == BUILTIN or name in SECRET_FORMATS
        if isinstance(rule, bool) and not known:
            formats = ", ".join((BUILTIN, *SECRET_FORMATS))
            raise ValueError(f'"{escaped(name)}" is no built-in format; formats: {formats}')
        if name == BUILTIN and not isinstance(rule, bool):
            raise ValueError(f'"{BUILTIN}" is true or false, not a pattern')
        if not _NAME.fullmatch(name):
            raise ValueError(f'"{escaped(name)}" is not a name of 1 to 32 of a-z, 0-9, ., _, -')
    own = "|".join(f"({rule})" for rule in given.values() if isinstance(rule, str))
    _compiled(own, shown="all patterns together")
    return given


Rule: TypeAlias = Annotated[bool | str, PlainValidator(_rule)]
#: Patterns by name, and which built-in formats are in use.
Rules: TypeAlias = Annotated[dict[str, Rule], AfterValidator(_rules)]
