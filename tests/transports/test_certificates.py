"""TLS of the gRPC listener: rotation and clients' certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from otelbridge.config.sections import TlsConfig
from otelbridge.errors import ConfigError
from otelbridge.transports.certificates import CertificateFiles
from tests.transports.fakes import START, TOKENS, call_over

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from otelbridge.transports.grpc_server import GrpcServer

    Serve = Callable[..., Awaitable[GrpcServer]]

_CODE = grpc.StatusCode


class Files:
    """The files of `[tls]` in a folder, signed by authorities that a test makes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.cert = folder / "cert.pem"
        self.key = folder / "key.pem"
        self.client_ca = folder / "ca.pem"

    def write(self, authority: trustme.CA, *, cert: bool = True, key: bool = True) -> None:
        """Write a new pair, or half of one."""
        leaf = authority.issue_cert("localhost")
        if cert:
            self.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        if key:
            self.key.write_bytes(leaf.private_key_pem.bytes())

    def pair(self) -> CertificateFiles:
        """Return the pair as the server uses it."""
        return CertificateFiles(TlsConfig(cert=self.cert, key=self.key))

    def mutual(self, authority: trustme.CA) -> CertificateFiles:
        """Return the pair, with clients verified by an authority."""
        authority.cert_pem.write_to_path(self.client_ca)
        config = TlsConfig(cert=self.cert, key=self.key, client_ca=self.client_ca)
        return CertificateFiles(config)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return files that are not written yet."""
    return Files(tmp_path)


async def _call(
    started: GrpcServer,
    trusted: trustme.CA,
    *,
    leaf: trustme.LeafCert | None = None,
    path: str = START,
) -> grpc.StatusCode:
    """Call over a new connection that trusts one authority, with a certificate or without."""
    credentials = grpc.ssl_channel_credentials(
        trusted.cert_pem.bytes(),
        leaf.private_key_pem.bytes() if leaf else None,
        leaf.cert_chain_pems[0].bytes() if leaf else None,
    )
    target = started.address.replace("127.0.0.1", "localhost")
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    async with grpc.aio.secure_channel(target, credentials, options) as channel:
        return (await call_over(channel, path))[0]


async def test_a_new_pair_is_used_from_the_next_connection_on(serve: Serve, files: Files) -> None:
    old, new = trustme.CA(), trustme.CA()
    files.write(old)
    started = await serve(certificates=files.pair())
    assert await _call(started, old) is _CODE.OK

    files.write(new)

    assert await _call(started, new) is _CODE.OK
    assert await _call(started, old) is _CODE.UNAVAILABLE


async def test_the_old_pair_stays_until_the_new_one_is_whole(
    serve: Serve, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = trustme.CA(), trustme.CA()
    files.write(old)
    started = await serve(certificates=files.pair())

    files.write(new, key=False)
    assert await _call(started, old) is _CODE.OK
    assert await _call(started, old) is _CODE.OK
    files.key.unlink()
    assert await _call(started, old) is _CODE.OK
    files.write(new)

    assert await _call(started, new) is _CODE.OK
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warnings == [
        f"keeping the certificate in use: {_no_pair(files)}",
        f"keeping the certificate in use: tls.key: {files.key}: No such file or directory",
    ]


async def test_a_client_certificate_is_compulsory_and_sufficient(
    serve: Serve, files: Files
) -> None:
    ours, clients, others = trustme.CA(), trustme.CA(), trustme.CA()
    files.write(ours)
    started = await serve(certificates=files.mutual(clients), is_open=False)

    verified = await _call(started, ours, leaf=clients.issue_cert("gw"), path=TOKENS)
    none = await _call(started, ours)
    foreign = await _call(started, ours, leaf=others.issue_cert("gw"))

    assert (verified, none, foreign) == (_CODE.OK, _CODE.UNAVAILABLE, _CODE.UNAVAILABLE)


async def test_a_new_client_authority_is_taken_over_too(serve: Serve, files: Files) -> None:
    ours, before, after = trustme.CA(), trustme.CA(), trustme.CA()
    files.write(ours)
    started = await serve(certificates=files.mutual(before))

    after.cert_pem.write_to_path(files.client_ca)

    assert await _call(started, ours, leaf=after.issue_cert("gw")) is _CODE.OK
    assert await _call(started, ours, leaf=before.issue_cert("gw")) is _CODE.UNAVAILABLE


def test_a_missing_file_is_named(files: Files) -> None:
    files.write(trustme.CA(), key=False)

    with pytest.raises(ConfigError) as caught:
        files.pair().load()

    assert str(caught.value) == f"tls.key: {files.key}: No such file or directory"


def test_a_key_of_another_certificate_is_named(files: Files) -> None:
    files.write(trustme.CA())
    files.write(trustme.CA(), cert=False)

    with pytest.raises(ConfigError) as caught:
        files.pair().load()

    assert str(caught.value) == _no_pair(files)


def test_an_authority_that_is_no_certificate_is_named(files: Files) -> None:
    files.write(trustme.CA())
    certificates = files.mutual(trustme.CA())
    files.client_ca.write_text("nothing")

    with pytest.raises(ConfigError) as caught:
        certificates.load()

    assert str(caught.value) == f"tls.client_ca: {files.client_ca} holds no certificate (PEM)"


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(files: Files) -> None:
    files.write(trustme.CA())
    key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )

    with pytest.raises(ConfigError) as caught:
        files.pair().load()

    assert str(caught.value) == _no_pair(files)


def _no_pair(files: Files) -> str:
    return f"tls.cert: {files.cert} and {files.key} are not a certificate and its key (PEM)"
