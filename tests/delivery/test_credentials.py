"""Headers and certificates follow their files; what is wrong changes nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from otelbridge.delivery.credentials import CredentialFiles, read_credentials
from otelbridge.errors import ConfigError
from tests.delivery.conftest import Certificates
from tests.delivery.fakes import destination
from tests.faults import fault


def files_of(**settings: Any) -> CredentialFiles:
    return CredentialFiles(destination("https://127.0.0.1:1", **settings))


def header(path: Path, **more: str) -> dict[str, Any]:
    return {"headers": {"Authorization": {"file": str(path), **more}}}


def look_twice(files: CredentialFiles) -> bool:
    """Look as delivery does: what is written is taken once it is at rest."""
    return files.look() or files.look()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first\n")
    return path


def test_a_headers_value_is_the_text_of_its_file_behind_a_prefix(token: Path) -> None:
    shown = read_credentials(
        destination("http://h", headers={"a": "b", **header(token, prefix="Bearer ")["headers"]})
    )

    assert shown.headers == {"a": "b", "authorization": "Bearer first"}
    assert "first" not in repr(shown)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\xff", "not UTF-8 text"),
        (b"x" * 70_000, "larger than 65536 bytes, which is the limit"),
        (None, "no such file or directory"),
    ],
)
def test_a_file_without_a_value_is_named(token: Path, content: bytes | None, problem: str) -> None:
    if content is None:
        token.unlink()
    else:
        token.write_bytes(content)

    with pytest.raises(ConfigError) as raised:
        files_of(**header(token))

    assert str(raised.value) == f"destination d.headers.Authorization: {token}: {problem}"


def test_a_value_that_cannot_be_sent_is_not_repeated(token: Path) -> None:
    token.write_text("secret\nsecret")

    with pytest.raises(ConfigError) as raised:
        files_of(**header(token))

    assert str(raised.value) == (
        "destination d.headers: the value of Authorization is not printable ASCII"
    )


@fault(10)
def test_a_new_token_is_taken_when_its_file_is_at_rest(token: Path) -> None:
    files = files_of(**header(token))

    token.write_text("sec")
    first = files.look()
    token.write_text("second")
    second = files.look()
    third = files.look()

    assert (first, second, third) == (False, False, True)
    assert files.credentials.headers == {"authorization": "second"}
    assert not look_twice(files)


@fault(10)
def test_a_token_behind_a_link_that_moves_is_a_new_one(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(f"token {name}")
    link = tmp_path / "current"
    link.symlink_to("1")
    files = files_of(**header(link / "token"))

    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").replace(link)

    assert look_twice(files)
    assert files.credentials.headers == {"authorization": "token 2"}


def test_a_file_that_is_written_with_the_same_text_is_no_change(token: Path) -> None:
    files = files_of(**header(token))

    os.utime(token, ns=(1, 1))

    assert not look_twice(files)


@fault(35)
def test_a_pair_that_does_not_match_is_told_once_and_the_old_one_stays(
    certificates: Certificates, tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "cert.key"
    shutil.copy(certificates.cert, cert)
    shutil.copy(certificates.key, key)
    files = files_of(tls={"cert": str(cert), "key": str(key)})
    old = files.credentials

    shutil.copy(certificates.server.cert, cert)
    with pytest.raises(ConfigError, match=r"are not a certificate and its key \(PEM\)$"):
        look_twice(files)
    again = look_twice(files)
    kept = files.credentials
    shutil.copy(certificates.server.key, key)
    healed = look_twice(files)

    assert (again, healed) == (False, True)
    assert kept is old
    assert files.credentials.cert == Path(certificates.server.cert).read_bytes()


@fault(35)
def test_a_file_that_was_deleted_changes_nothing_until_it_is_back(token: Path) -> None:
    files = files_of(**header(token))

    token.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        look_twice(files)
    token.write_text("back")

    assert look_twice(files)
    assert files.credentials.headers == {"authorization": "back"}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    ("name", "problem"),
    [("ca", "holds no certificate (PEM)"), ("cert", "are not a certificate and its key (PEM)")],
)
def test_what_is_no_certificate_is_an_error_for_both_protocols(
    certificates: Certificates, tmp_path: Path, protocol: str, name: str, problem: str
) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nonsense")
    tls = {"ca": certificates.ca, "cert": certificates.cert, "key": certificates.key}

    with pytest.raises(ConfigError) as raised:
        files_of(tls={**tls, name: str(wrong)}, protocol=protocol)

    assert str(raised.value).startswith(f"destination d.tls.{name}: {wrong} ")
    assert str(raised.value).endswith(problem)


def test_new_settings_replace_headers_and_certificates_alone(token: Path) -> None:
    files = files_of(headers={"authorization": "old"}, timeout_s=3)

    is_new = files.replace(destination("http://elsewhere", timeout_s=9, **header(token)))

    assert is_new
    assert files.credentials.headers == {"authorization": "first"}
    assert (files.config.endpoint, files.config.timeout_s) == ("https://127.0.0.1:1", 3)
    assert files.are_there


def test_new_settings_that_are_wrong_change_nothing(token: Path) -> None:
    files = files_of(**header(token))

    with pytest.raises(ConfigError):
        files.replace(destination("http://h", headers={"a b": "c"}))
    token.write_text("second")

    assert look_twice(files)
    assert files.credentials.headers == {"authorization": "second"}
