"""The log on standard error: lines of text, or JSON objects a line each."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelbridge.config.sections import LogConfig

_OURS = "otelbridge"


def set_up_logging(config: LogConfig, *, level: int | None = None) -> None:
    """Write what is at least as severe as ``[log] level`` to standard error.

    Libraries are heard from warnings on.

    Args:
        config: The settings.
        level: Another level than that of the settings.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if config.format == "json" else TextFormatter())
    if level is None:
        level = logging.getLevelNamesMapping()[config.level.upper()]
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    logging.getLogger(_OURS).setLevel(level)


class TextFormatter(logging.Formatter):
    """``2026-11-22T13:19:57.909Z info otelbridge.server: ready``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text; only a traceback takes more than one line."""
        message = record.getMessage().replace("\n", "\\n")
        line = f"{_time(record)} {record.levelname.lower()} {record.name}: {message}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object: time, level, logger, message and, if there is one, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
