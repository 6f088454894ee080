"""Reading settings: the file, the environment over it, and errors a person can act on."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from otelbridge.config.fields import HeaderFile
from otelbridge.config.otel_env import overlay_from_otel
from otelbridge.config.overlay import Overlay
from otelbridge.config.own_env import overlay_from_own
from otelbridge.config.problems import problems_of
from otelbridge.config.rules import check_rules
from otelbridge.config.section import Section
from otelbridge.config.sections import Config
from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_S = TypeVar("_S", bound=Section)


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the settings.

    Relative paths in the file are relative to the file. ``OTELBRIDGE_*``
    variables win over the file, the file over ``OTEL_*`` variables.

    Raises:
        ConfigError: If the file cannot be read, or any key or value is wrong.
            Each line of the text is one mistake: its key, the value and what
            is allowed.
    """
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("", f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # TOML, UTF-8, a number of 5000 digits
        raise ConfigError("", f"{path}: not a TOML file: {error}") from None
    return build_config(data, environ, base=path.parent)


def build_config(data: dict[str, Any], environ: Mapping[str, str], *, base: Path) -> Config:
    """Build the settings from a file's data and the environment.

    Raises:
        ConfigError: See `load_config`.
    """
    overlay = Overlay(dict(data))
    overlay_from_own(overlay, environ)
    overlay_from_otel(overlay, environ)
    try:
        # A key is called as in the file: `from`, not the attribute's name.
        config = Config.model_validate(overlay.data, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = problems_of(error, overlay)
        if len(problems) == 1:
            raise ConfigError(*problems[0]) from None
        raise ConfigError("", "\n".join(f"{key}: {text}" for key, text in problems)) from None
    check_rules(config)
    return resolved(config, base)


def resolved(config: Config, base: Path) -> Config:
    """Return the settings with every relative path made relative to ``base``."""
    found = _with_paths(config, base)
    url = f"sqlite:{base / config.journal.path}"
    return found.model_copy(update={"journal": config.journal.model_copy(update={"url": url})})


def _with_paths(section: _S, base: Path) -> _S:
    changed = {name: _with_base(value, base) for name, value in section}
    return section.model_copy(update=changed)


def _with_base(value: object, base: Path) -> object:
    if isinstance(value, Path):
        return base / value
    if isinstance(value, Section):
        return _with_paths(value, base)
    if isinstance(value, HeaderFile):
        return value._replace(path=base / value.path)
    if isinstance(value, dict):
        return {key: _with_base(item, base) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_with_base(item, base) for item in value)
    return value
