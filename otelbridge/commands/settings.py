"""The option ``--config`` and what it loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from otelbridge.config import load_config
from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.config import Config

#: The settings' file.
config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("otelbridge.toml"),
    show_default=True,
    metavar="FILE",
    help="The settings.",
)


def read_settings(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the settings.

    Raises:
        ConfigError: If something is wrong; each line names the file and the key.
    """
    if not path.exists():
        raise ConfigError("", f"{path}: no such file; `otelbridge init` writes one")
    try:
        return load_config(path, environ)
    except ConfigError as error:
        lines = [
            line if line.startswith(f"{path}: ") else f"{path}: {line}"
            for line in str(error).splitlines()
        ]
        raise ConfigError("", "\n".join(lines)) from None
