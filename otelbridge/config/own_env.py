"""The ``OTELBRIDGE_SECTION__KEY`` variables: each key of the file, from the environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.config.overlay import Overlay

ENV_PREFIX = "OTELBRIDGE_"
_MAX_NAME = 128  # of a variable, in an error


def overlay_from_own(overlay: Overlay, environ: Mapping[str, str]) -> None:
    """Lay the variables over the file; destinations are numbered from 0.

    Raises:
        ConfigError: If a variable names no place in the configuration, or
            leaves out a destination's number.
    """
    for path, name in sorted(_paths(environ)):
        steps = [step for _, step in path]
        overlay.set(steps, _value(environ[name]), source=escaped(name, _MAX_NAME))


def _paths(environ: Mapping[str, str]) -> list[tuple[list[tuple[int, str]], str]]:
    """Return where each variable points; a longer number sorts after a shorter one."""
    found = []
    for name in environ:
        section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if name.startswith(ENV_PREFIX) and key:
            steps = [section, *key.split("__")]
            found.append(([(len(step) if step.isdigit() else 0, step) for step in steps], name))
    return found


def _value(text: str) -> Any:
    """Lists and tables are written as JSON; everything else is taken as it is."""
    if text[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
