"""The tables of docs/configuration.md, made from the settings classes.

``python -m tests.docs.reference`` writes them into the page, between
``<!-- settings: NAME -->`` and ``<!-- end -->``; a test fails until that is done.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import ByteSize
from pydantic_core import PydanticUndefined

from otelbridge.config import ENV_PREFIX
from otelbridge.config.content import ContentLimitsConfig
from otelbridge.config.fields import HeaderFile
from otelbridge.config.secret_formats import SECRET_FORMATS
from otelbridge.config.section import Section
from otelbridge.config.sections import Config, DestinationConfig, DestinationTlsConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

PAGE = Path(__file__).parents[2] / "docs/configuration.md"
#: A table of the page: what comes before it, its name, its rows, what comes after it.
BLOCK = re.compile(r"(<!-- settings: (?P<name>[a-z.]+) -->\n)(?P<rows>(?:\|.*\n)*)(<!-- end -->)")
#: The page's table of secret formats.
FORMATS = re.compile(r"(<!-- formats -->\n)(?:\|.*\n)*(<!-- end -->)")

_HEAD = "| Key | Value | Default | Environment variable | Meaning |\n|---|---|---|---|---|"
_SCALARS = {bool: "true or false", str: "text", float: "number", int: "integer", Path: "path"}
_UNITS = {1024: "1 KiB", 64 * 1024: "64 KiB", 512 * 1024: "512 KiB"}
_UNITS |= {1024**2: "1 MiB", 4 * 1024**2: "4 MiB", 64 * 1024**2: "64 MiB"}
_UNITS |= {1024**3: "1 GiB", 1024**6: "1 EiB"}


def tables() -> dict[str, str]:
    """Return every table, by its name in the page."""
    sections: dict[str, type[Section]] = {
        name: field.annotation
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type)
    }
    sections |= {"destination": DestinationConfig, "destination.tls": DestinationTlsConfig}
    sections["content.limits"] = ContentLimitsConfig
    return {name: _table(name, section) for name, section in sections.items()}


def written(page: str) -> str:
    """Return the page with its tables replaced by what they should be."""
    found = tables()
    page = FORMATS.sub(lambda block: f"{block[1]}{_formats()}{block[2]}", page)
    return BLOCK.sub(lambda block: f"{block[1]}{found[block['name']]}{block[4]}", page)


def _formats() -> str:
    rows = [f"| `{each.name}` | {each.description} |" for each in SECRET_FORMATS.values()]
    return "\n".join(("| Format | What is recognised |\n|---|---|", *rows, ""))


def _table(name: str, section: type[Section]) -> str:
    meanings = _meanings(section)
    rows = [
        _row(field.alias or key, field, f"{_prefix(name)}{field.alias or key}", meanings[key])
        for key, field in section.model_fields.items()
    ]
    return "\n".join((_HEAD, *rows, ""))


def _prefix(name: str) -> str:
    return "__".join(name.replace("destination", "destination.0").split(".")) + "__"


def _row(key: str, field: FieldInfo, path: str, meaning: str) -> str:
    cells = (
        f"`{key}`",
        _value(key, field),
        _default(field),
        f"`{ENV_PREFIX}{path.upper()}`",
        meaning,
    )
    return f"| {' | '.join(cells)} |"


def _meanings(section: type[Section]) -> Mapping[str, str]:
    """Return the ``Attributes`` of a class's docstring as Markdown."""
    attributes = inspect.getdoc(section).partition("Attributes:\n")[2]  # type: ignore[union-attr]  # all have one
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE)
    return {name: _markdown(text) for name, text in found}


def _markdown(text: str) -> str:
    """Return a meaning in one line; its unit stands in the column before."""
    return re.sub(r"\s+", " ", text).replace("``", "`").replace(", in seconds", "")


def _value(key: str, field: FieldInfo) -> str:
    kinds = list(_leaves(field.annotation, tuple(field.metadata)))
    return " or ".join(_kind(key, kind, metadata) for kind, metadata in kinds)


def _leaves(kind: Any, metadata: tuple[object, ...]) -> Iterator[tuple[Any, tuple[object, ...]]]:
    """Yield the types of an annotation, each with its limits; not None."""
    if hasattr(kind, "__metadata__"):
        yield from _leaves(get_args(kind)[0], (*kind.__metadata__, *metadata))
    elif get_origin(kind) in {Union, UnionType}:
        for part in get_args(kind):
            yield from _leaves(part, metadata)
    elif kind is not type(None):
        yield kind, metadata


def _kind(key: str, kind: Any, metadata: tuple[object, ...]) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in args)
    if origin is tuple:
        return f"list of {_value_of(key, args[0])}"
    if origin is dict:
        return f"table; values: {_value_of(key, args[1])}"
    if issubclass(kind, Section):
        return "table"
    if kind is HeaderFile:
        return '`{ file = "PATH" }`'
    name = "size" if kind is ByteSize else "seconds" if key.endswith("_s") else _SCALARS[kind]
    return ", ".join((name, *_limits(metadata)))


def _value_of(key: str, kind: Any) -> str:
    return " or ".join(_kind(key, *leaf) for leaf in _leaves(kind, ()))


def _limits(metadata: tuple[object, ...]) -> Iterator[str]:
    flat = [item for each in metadata for item in getattr(each, "metadata", [each])]
    for limit in flat:
        if isinstance(limit, Gt):
            yield f"more than {limit.gt}"
        elif isinstance(limit, Ge):
            yield f"{_number(limit.ge)} or more"
        elif isinstance(limit, Le):
            yield f"at most {_number(limit.le)}"


def _number(limit: object) -> str:
    return _UNITS.get(limit, f"{limit}") if isinstance(limit, int) else f"{limit}"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value in (None, {}) or isinstance(value, Section):
        return "none"
    if isinstance(value, ByteSize):
        return f"`{json.dumps(_UNITS[value].replace(' ', ''))}`"
    if isinstance(value, Path):
        value = str(value)
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
