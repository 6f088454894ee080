"""What can be used of settings that are wrong: to look at the files that they name."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from otelbridge.config import ENV_PREFIX, Config, build_config
from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def usable_sections(path: Path, environ: Mapping[str, str]) -> tuple[Config, frozenset[str]]:
    """Return each section that is right by itself, and the names of these.

    A section that is not there has its defaults and is right. Of a list of
    destinations each one counts by itself. Of a file that is no TOML nothing
    is known: then the default store is of interest only if it is there. Never
    to be started with.

    Args:
        path: The settings' file, which is wrong.
        environ: Variables over it.
    """
    data = _data(path)
    found = _found(data or {}, environ, path.parent)
    if data is None and "store" in found and not found["store"].path.exists():
        del found["store"]
    return Config().model_copy(update=found), frozenset(found)


def _found(data: dict[str, Any], environ: Mapping[str, str], base: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in Config.model_fields:
        config = _with(name, _known(name, data.get(name)), environ, base)
        if config is not None:
            found[name] = getattr(config, name)
        elif name == "destination":
            found[name] = tuple(_each_destination(data.get(name), base))
    return found


def _each_destination(tables: object, base: Path) -> Iterator[object]:
    for table in tables if isinstance(tables, list) else ():
        config = _with("destination", [table], {}, base)
        yield from config.destination if config else ()


def _with(name: str, value: object, environ: Mapping[str, str], base: Path) -> Config | None:
    """Return settings that have one section; None if it is wrong."""
    own = {k: v for k, v in environ.items() if k.startswith(f"{ENV_PREFIX}{name.upper()}__")}
    try:
        return build_config({} if value is None else {name: value}, own, base=base)
    except ConfigError:
        return None


def _known(name: str, table: object) -> object:
    """Return a section without the keys that there are not: they change no other."""
    section = Config.model_fields[name].annotation
    if not isinstance(table, dict) or not isinstance(section, type):
        return table
    return {key: value for key, value in table.items() if key in section.model_fields}


def _data(path: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
