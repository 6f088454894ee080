"""The secret of the fingerprints, from the settings or from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.config.content import check_key
from otelbridge.errors import ConfigError
from otelbridge.telemetry.fingerprint import Fingerprinter

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.config.content import ContentConfig

_MAX_BYTES = 64 * 1024


def load_fingerprinter(config: ContentConfig) -> Fingerprinter | None:
    """Return what makes fingerprints; None if no secret is given.

    Raises:
        ConfigError: If the file cannot be read, or what it holds is no good
            secret. It is not repeated.
    """
    key = config.fingerprint_key
    if config.fingerprint_key_file is not None:
        key = _of_file(config.fingerprint_key_file)
    return None if key is None else Fingerprinter(key.encode())


def _of_file(path: Path) -> str:
    # The store takes a sixth of the process's start, and few have such a file.
    from otelbridge.store.files import read_regular  # noqa: PLC0415

    try:
        return check_key(read_regular(path, max_bytes=_MAX_BYTES).data.decode().strip())
    except UnicodeDecodeError:
        problem = "not UTF-8 text"
    except ValueError as error:
        problem = str(error)
    raise ConfigError("content.fingerprint_key_file", f"{path}: {problem}")
