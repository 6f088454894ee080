"""``otelbridge check``: validate everything that a start would need."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import click

from otelbridge.commands.settings import config_option, read_settings
from otelbridge.config import is_loopback
from otelbridge.errors import ConfigError, StoreError
from otelbridge.store import load_store
from otelbridge.telemetry.prices import load_prices
from otelbridge.transports.certificates import CertificateFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sized
    from pathlib import Path

    from otelbridge.config import Config
    from otelbridge.domain.access import Snapshot

_T = TypeVar("_T")


@click.command()
@config_option
def check(config_path: Path) -> None:
    """Check the settings and every file that they name.

    Prints each mistake with its file, its key and the reason.
    """
    config = read_settings(config_path, os.environ)
    checks = Checks(config_path)
    snapshot = checks.store(config, os.environ)
    checks.files(config)
    if snapshot is None or checks.problems:
        raise ConfigError("", "\n".join(checks.problems))
    click.echo(f"{config_path}: ok")
    for name, value in summary(config, snapshot):
        click.echo(f"  {name:<11} {value}")


class Checks:
    """What was found wrong, a line each.

    Attributes:
        problems: ``file: key: reason``.
    """

    def __init__(self, config_path: Path) -> None:
        self._config_path = config_path
        self.problems: list[str] = []

    def store(self, config: Config, environ: Mapping[str, str]) -> Snapshot | None:
        """Check the store file; return what it says, None if it is wrong."""
        try:
            return load_store(config.store.path, environ)
        except StoreError as error:
            self.problems += error.problems
            return None

    def files(self, config: Config) -> None:
        """Check the other files, and where the journal will be."""
        if config.tls.cert is not None:
            self._try(CertificateFiles(config.tls).load)
        if config.prices.overrides is not None:
            overrides = config.prices.overrides
            self._try(lambda: load_prices(overrides))
        for destination in config.destination:
            for name, path in destination.tls:
                if path is not None:
                    self._readable(f"destination {destination.name}: tls.{name}", path)
        self._try(lambda: check_journal(config.journal.path))

    def _readable(self, key: str, path: Path) -> None:
        try:
            path.read_bytes()
        except OSError as error:
            self.problems.append(f"{self._config_path}: {key}: {path}: {error.strerror}")

    def _try(self, checking: Callable[[], _T]) -> None:
        try:
            checking()
        except ConfigError as error:
            self.problems.append(f"{self._config_path}: {error}")


def check_journal(path: Path) -> None:
    """Check that a journal can be kept here.

    Raises:
        ConfigError: If it cannot.
    """
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError("journal.url", f"{folder} is not a directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError("journal.url", f"{folder} is not writable")
    if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
        raise ConfigError("journal.url", f"{path} is not a file that can be written to")


def summary(config: Config, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield what a start would do, as names and values."""
    is_open = config.auth.grpc == "open" or (
        config.auth.grpc is None and is_loopback(config.listen.grpc)
    )
    who = "certificate" if config.tls.client_ca else "local processes" if is_open else "gateway key"
    yield "grpc", f"{config.listen.grpc}{', TLS' if config.tls.cert else ''}, open to: {who}"
    yield "http", config.listen.http
    yield "journal", str(config.journal.path)
    yield "store", str(config.store.path)
    held: dict[str, Sized] = {
        "users": snapshot.users,
        "keys": snapshot.keys,
        "gateways": snapshot.gateways,
        "MCP servers": snapshot.mcp_servers,
        "providers": snapshot.providers,
    }
    yield "", ", ".join(f"{name}: {len(table)}" for name, table in held.items())
    for destination in config.destination:
        signals = ", ".join(destination.signals)
        yield "destination", f"{destination.name} ({destination.protocol}: {signals})"
    if not config.destination:
        yield "destination", "none: nothing is exported"
