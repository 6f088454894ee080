"""Certificates of the listeners: read, checked, and read again when the files change."""

from __future__ import annotations

import logging
import ssl
import threading
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import grpc

from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.config.sections import TlsConfig

    _SslObject: TypeAlias = ssl.SSLSocket | ssl.SSLObject

logger = logging.getLogger(__name__)


class Pair(NamedTuple):
    """A certificate chain with its key, known to match; all PEM.

    Attributes:
        cert: The certificate chain.
        key: Its private key.
        client_ca: Certificates by which clients are verified; None if they
            need not show one.
    """

    cert: bytes
    key: bytes
    client_ca: bytes | None


class CertificateFiles:
    """The files of ``[tls]``, for one listener.

    They are looked at before each handshake. A file that changed is then read
    again; the pair in use stays until the new one is whole.
    """

    def __init__(self, config: TlsConfig) -> None:
        if config.cert is None or config.key is None:
            raise ConfigError("tls", "cert and key are needed")
        self._cert = config.cert
        self._key = config.key
        self._client_ca = config.client_ca
        self._lock = threading.Lock()  # gRPC asks from its own threads
        self._seen: object = None

    @property
    def verifies_clients(self) -> bool:
        """Return whether every client must show a certificate."""
        return self._client_ca is not None

    def load(self) -> Pair:
        """Read and check the files.

        Raises:
            ConfigError: If one cannot be read, is no certificate or key, or
                the two do not belong together.
        """
        pair = self._read()
        self._check()
        if pair != self._read():
            raise ConfigError("tls", "the files are being changed")
        return pair

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials for a listener that follow the files.

        Raises:
            ConfigError: If the files are wrong now.
        """
        self._seen = self._signature()
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self.load()),
            self._changed,
            require_client_authentication=self.verifies_clients,
        )

    def http_context(self) -> ssl.SSLContext:
        """Return a context for an HTTP listener that follows the files; it asks for no client's.

        Raises:
            ConfigError: If the files are wrong now.
        """
        self._seen = self._signature()
        self.load()
        newest = self._new_context()

        def choose(connection: _SslObject, _name: str | None, _context: ssl.SSLContext) -> None:
            """Hand a connection that begins its handshake the newest context."""
            nonlocal newest
            newest = self._reloaded_context() or newest
            connection.context = newest

        context = self._new_context()
        context.sni_callback = choose
        return context

    def _reloaded_context(self) -> ssl.SSLContext | None:
        """Return a context with the pair if it has changed and is whole."""
        if self._reloaded() is None:
            return None
        try:
            return self._new_context()
        except ConfigError as error:  # changed again in this very moment
            self._seen = None
            logger.warning("keeping the certificate in use: %s", error)
            return None

    def _new_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        self._load_into(context)
        return context

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what gRPC is to use from now on, None for no change."""
        with self._lock:
            pair = self._reloaded()
            return None if pair is None else _configuration(pair)

    def _reloaded(self) -> Pair | None:
        """Return the pair if it has changed and is whole."""
        signature = self._signature()
        if signature == self._seen:
            return None
        self._seen = signature
        try:
            pair = self.load()
        except ConfigError as error:
            logger.warning("keeping the certificate in use: %s", error)
            return None
        logger.info("using the certificate that %s holds now", self._cert)
        return pair

    def _signature(self) -> object:
        """Return what changes when a file is written, replaced or re-linked."""
        found: list[tuple[int, int, int] | None] = []
        for path in filter(None, (self._cert, self._key, self._client_ca)):
            try:
                stat = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)

    def _read(self) -> Pair:
        return Pair(
            _bytes("tls.cert", self._cert),
            _bytes("tls.key", self._key),
            None if self._client_ca is None else _bytes("tls.client_ca", self._client_ca),
        )

    def _check(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load_into(context)
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except (ssl.SSLError, OSError):
                raise ConfigError(
                    "tls.client_ca", f"{self._client_ca} holds no certificate (PEM)"
                ) from None

    def _load_into(self, context: ssl.SSLContext) -> None:
        try:
            # An encrypted key would make OpenSSL ask on the terminal.
            context.load_cert_chain(self._cert, self._key, password="")
        except (ssl.SSLError, OSError, ValueError):
            raise ConfigError(
                "tls.cert", f"{self._cert} and {self._key} are not a certificate and its key (PEM)"
            ) from None


def _bytes(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(key, f"{path}: {error.strerror}") from None


def _configuration(pair: Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.cert)], pair.client_ca)
