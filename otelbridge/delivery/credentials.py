"""What a destination is shown: headers and certificates, and the files that they are kept in.

A token or a certificate is renewed by writing its file. The file is read again then; what is
in use stays until the new files are whole.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otelbridge.config.fields import HeaderFile
from otelbridge.errors import ConfigError, escaped
from otelbridge.store.files import read_regular, signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otelbridge.config.sections import DestinationConfig
    from otelbridge.store.files import Signature

#: RFC 9110: a token; and what both gRPC and HTTP/1.1 take as a value.
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[ -~]*")
_MAX_HEADER_BYTES = 64 * 1024  # as for the store's secrets
_MAX_PEM_BYTES = 4 * 1024 * 1024  # all authorities of a system are a tenth of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a destination is shown, and by what it is recognised.

    Attributes:
        headers: The headers of every request, their names in lower case.
        ca: PEM of the authorities to trust; None for the system's.
        cert: PEM of the client's certificate chain, if it has one.
        key: PEM of its private key.
        context: The same certificates for HTTP.
    """

    headers: Mapping[str, str] = field(repr=False)
    ca: bytes | None = field(repr=False)
    cert: bytes | None = field(repr=False)
    key: bytes | None = field(repr=False)
    context: ssl.SSLContext = field(repr=False, compare=False)


def read_credentials(config: DestinationConfig) -> Credentials:
    """Read a destination's files, all of the same moment.

    Raises:
        ConfigError: If a file cannot be read, cert and key do not belong
            together, or a header cannot be sent. No secret is repeated.
    """
    headers = headers_of(config)
    before = _certificates(config)
    context = _context(config)
    if before != _certificates(config):
        raise ConfigError(_key(config, "tls"), "the files are being changed")
    return Credentials(headers=headers, **before, context=context)


class CredentialFiles:
    """A destination's credentials, which follow their files. Not for several threads at a time.

    Args:
        config: The destination.

    Attributes:
        config: The destination.
        credentials: What was read last and is right.

    Raises:
        ConfigError: See `read_credentials`.
    """

    def __init__(self, config: DestinationConfig) -> None:
        self.config = config
        self._read = self._last_look = self._signatures(config)
        self.credentials = read_credentials(config)

    @property
    def are_there(self) -> bool:
        """Return whether there is a file that can change."""
        return bool(_paths(self.config))

    def look(self) -> bool:
        """Look at the files; read them if they have changed and are at rest.

        Returns:
            Whether `credentials` are others now.

        Raises:
            ConfigError: If the changed files are wrong: once for each change.
                What was read last stays.
        """
        found, before = self._signatures(self.config), self._last_look
        self._last_look = found
        # Somebody may be writing: taken when two looks in a row see the same.
        if found == self._read or found != before:
            return False
        self._read = found
        return self._take(self.config)

    def replace(self, config: DestinationConfig) -> bool:
        """Take headers and certificates of new settings; see `look`.

        Raises:
            ConfigError: If they are wrong. What was in use stays.
        """
        changed = {"headers": config.headers, "tls": config.tls}
        return self._take(self.config.model_copy(update=changed))

    def _take(self, config: DestinationConfig) -> bool:
        signatures = self._signatures(config)
        credentials = read_credentials(config)
        self.config, self._read = config, signatures
        is_new, self.credentials = credentials != self.credentials, credentials
        return is_new

    @staticmethod
    def _signatures(config: DestinationConfig) -> dict[Path, Signature]:
        return {path: signature(path) for path in _paths(config)}


def _paths(config: DestinationConfig) -> list[Path]:
    tls = config.tls
    headers = [each.path for each in config.headers.values() if isinstance(each, HeaderFile)]
    return [*headers, *filter(None, (tls.ca, tls.cert, tls.key))]


def headers_of(config: DestinationConfig) -> dict[str, str]:
    """Return the headers of every request, their names in lower case.

    Raises:
        ConfigError: If a file cannot be read, or a name or value cannot be
            sent. The value is a secret and is not repeated.
    """
    headers = {}
    for name, given in config.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigError(_key(config, "headers"), f'"{escaped(name)}" is not a header name')
        value = given if isinstance(given, str) else _of_file(config, name, given)
        if not _HEADER_VALUE.fullmatch(value):
            raise ConfigError(
                _key(config, "headers"), f"the value of {name} is not printable ASCII"
            )
        headers[name.lower()] = value
    return headers


def _of_file(config: DestinationConfig, name: str, header: HeaderFile) -> str:
    try:
        text = read_regular(header.path, max_bytes=_MAX_HEADER_BYTES).data.decode().strip()
        if not text:
            raise ValueError("the file is empty")
    except UnicodeDecodeError:
        problem = "not UTF-8 text"
    except ValueError as error:
        problem = str(error)
    else:
        return f"{header.prefix}{text}"
    raise ConfigError(_key(config, f"headers.{name}"), f"{header.path}: {problem}")


def _certificates(config: DestinationConfig) -> dict[str, bytes | None]:
    tls = config.tls
    return {
        name: _pem(config, name, path)
        for name, path in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key))
    }


def _pem(config: DestinationConfig, name: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return read_regular(path, max_bytes=_MAX_PEM_BYTES).data
    except ValueError as error:
        raise ConfigError(_key(config, f"tls.{name}"), f"{path}: {error}") from None


def _context(config: DestinationConfig) -> ssl.SSLContext:
    """Return the certificates for HTTP, which is also how those for gRPC are checked.

    With an own ``ca`` no environment variable can add to or replace it.
    """
    tls = config.tls
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError):
        raise ConfigError(_key(config, "tls.ca"), f"{tls.ca} holds no certificate (PEM)") from None
    try:
        if tls.cert is not None:
            # An encrypted key would make OpenSSL ask on the terminal.
            context.load_cert_chain(tls.cert, tls.key, password="")
    except (OSError, ssl.SSLError, ValueError):
        raise ConfigError(
            _key(config, "tls.cert"),
            f"{tls.cert} and {tls.key} are not a certificate and its key (PEM)",
        ) from None
    return context


def _key(config: DestinationConfig, name: str) -> str:
    return f"destination {config.name}.{name}"
