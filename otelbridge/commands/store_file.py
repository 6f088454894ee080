"""The store file that the settings name, to be looked at and edited."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from otelbridge.commands.settings import read_settings
from otelbridge.store.editing import edit_store, view_store

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from otelbridge.domain.access import Snapshot
    from otelbridge.store.editing import StoreEdit


def viewed(config_path: Path) -> Snapshot:
    """Return what the store holds; its secrets from the environment are not in it.

    Raises:
        ConfigError: If the settings are wrong.
        StoreError: If the store file is wrong.
    """
    return view_store(_path(config_path))


def edited(config_path: Path) -> AbstractContextManager[StoreEdit]:
    """Edit the store; see `edit_store`.

    Raises:
        ConfigError: If the settings are wrong.
    """
    return edit_store(_path(config_path))


def _path(config_path: Path) -> Path:
    return read_settings(config_path, os.environ).store.path
