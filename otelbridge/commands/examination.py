"""What is wrong with the settings and with every file that they name."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.commands.partial_settings import usable_sections
from otelbridge.commands.settings import read_settings
from otelbridge.config.sections import TlsConfig
from otelbridge.core.fingerprint_key import load_fingerprinter
from otelbridge.delivery.credentials import headers_of
from otelbridge.errors import ConfigError, StoreError, escaped
from otelbridge.store import load_store
from otelbridge.store.token_file import TokenFile
from otelbridge.telemetry.prices import load_prices
from otelbridge.transports.certificates import CertificateFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from otelbridge.config import Config, DestinationConfig
    from otelbridge.domain.access import Snapshot


class Problem(NamedTuple):
    """One mistake.

    Attributes:
        file: The file that it is in.
        text: Its place in the file, what is wrong, and what is allowed.
    """

    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


class Examination:
    """Reads the settings and every file that they name, and goes on after a mistake.

    Args:
        path: The settings' file.
        environ: Variables over the settings, and secrets of the store.

    Attributes:
        problems: What is wrong.
        config: The settings; None if they are wrong.
        snapshot: What the store says; None if it is wrong.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ
        self.problems: list[Problem] = []
        self.config: Config | None = None
        self.snapshot: Snapshot | None = None

    def run(self) -> None:
        """Look at everything, once."""
        try:
            self.config = read_settings(self._path, self._environ)
        except ConfigError as error:
            self._add(str(self._path), str(error).splitlines())
        if self.config is not None:
            self._examine(self.config, frozenset(type(self.config).model_fields))
        elif self._path.exists():
            self._examine(*usable_sections(self._path, self._environ))

    def _examine(self, config: Config, usable: frozenset[str]) -> None:
        """Look at the files that some sections of the settings name."""
        if "store" in usable:
            self._store(config)
        if "tls" in usable and config.tls.cert is not None:
            self._tls(config.tls)
        if "prices" in usable and config.prices.overrides is not None:
            overrides = config.prices.overrides
            self._try(lambda: load_prices(overrides))
        if "content" in usable:
            self._try(lambda: load_fingerprinter(config.content))
        for destination in config.destination:
            self._destination(destination)
        if "journal" in usable:
            self._try(lambda: check_journal(config.journal.path))

    def _store(self, config: Config) -> None:
        path = config.store.path
        try:
            self.snapshot = load_store(path, self._environ)
        except StoreError as error:
            self._add(path.name, error.problems)
        tokens = path.with_name("tokens.json")
        try:
            links = TokenFile(tokens).read()
        except StoreError as error:
            self._add(tokens.name, error.problems)
            return
        for (server, user), link in links.items():
            if not (link.access_token.reveal() or link.refresh_token or link.broken):
                place = f"{escaped(server)}.{user}"
                self._add(tokens.name, [f"{place}: neither an access_token nor a refresh_token"])

    def _tls(self, config: TlsConfig) -> None:
        files = {"cert": config.cert, "key": config.key, "client_ca": config.client_ca}
        if self._readable("tls", files):
            pair = config.model_copy(update={"client_ca": None})
            self._try(CertificateFiles(pair).load)
            self._authorities("tls.client_ca", config.client_ca)

    def _destination(self, destination: DestinationConfig) -> None:
        self._try(lambda: headers_of(destination))
        place, tls = f"destination {destination.name}: tls", destination.tls
        if self._readable(place, {"ca": tls.ca, "cert": tls.cert, "key": tls.key}):
            self._authorities(f"{place}.ca", tls.ca)
            if tls.cert is not None:
                pair = TlsConfig(cert=tls.cert, key=tls.key)
                self._try(CertificateFiles(pair).load, place=f"destination {destination.name}")

    def _readable(self, place: str, files: Mapping[str, Path | None]) -> bool:
        count = len(self.problems)
        for key, path in files.items():
            try:
                if path is not None:
                    path.read_bytes()
            except OSError as error:
                self._add(str(self._path), [f"{place}.{key}: {path}: {error.strerror}"])
        return len(self.problems) == count

    def _authorities(self, place: str, path: Path | None) -> None:
        try:
            if path is not None:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except (ssl.SSLError, OSError):
            self._add(str(self._path), [f"{place}: {path} holds no certificate (PEM)"])

    def _try(self, checking: Callable[[], object], *, place: str = "") -> None:
        try:
            checking()
        except ConfigError as error:
            self._add(str(self._path), [f"{place}: {error}" if place else str(error)])

    def _add(self, file: str, lines: Iterable[str]) -> None:
        self.problems += [Problem(file, line.removeprefix(f"{file}: ")) for line in lines]


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
