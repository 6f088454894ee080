"""``otelbridge check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme
from click.testing import CliRunner

from otelbridge.cli import cli

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with the files of `otelbridge init`."""
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(cli, ["init", "."], catch_exceptions=False)
    return tmp_path


def _check(folder: Path, more: str = "") -> Result:
    config = folder / "otelbridge.toml"
    config.write_text(f"{config.read_text()}\n{more}")
    return CliRunner().invoke(cli, ["check"], catch_exceptions=False)


def test_what_init_wrote_is_ok_and_summed_up(folder: Path) -> None:
    done = _check(folder)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "otelbridge.toml: ok\n"
        "  grpc        127.0.0.1:50051, open to: local processes\n"
        "  http        127.0.0.1:8088\n"
        "  journal     journal.db\n"
        "  store       store.toml\n"
        "              users: 1, keys: 1, gateways: 1, MCP servers: 0, providers: 0\n"
        "  destination none: nothing is exported\n"
    )


def test_a_destination_and_tls_are_told(folder: Path) -> None:
    _write_pair(folder, trustme.CA())

    done = _check(
        folder,
        '[tls]\ncert = "cert.pem"\nkey = "key.pem"\nclient_ca = "cert.pem"\n'
        '[[destination]]\nname = "otlp"\nendpoint = "http://127.0.0.1:4317"\n',
    )

    assert done.exit_code == 0
    assert "  grpc        127.0.0.1:50051, TLS, open to: certificate\n" in done.stdout
    assert "  destination otlp (grpc: traces, metrics, logs)\n" in done.stdout


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            '[tls]\ncert = "cert.pem"\nkey = "key.pem"',
            "otelbridge.toml: tls.cert: cert.pem: No such file or directory",
        ),
        (
            '[prices]\noverrides = "prices.toml"',
            "otelbridge.toml: prices.overrides: prices.toml: No such file or directory",
        ),
        (
            '[[destination]]\nname = "otlp"\nendpoint = "https://h:1"\ntls = { ca = "ca.pem" }',
            "otelbridge.toml: destination otlp: tls.ca: ca.pem: No such file or directory",
        ),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_key(
    folder: Path, settings: str, problem: str
) -> None:
    done = _check(folder, settings)

    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {problem}\n")


def test_a_key_of_another_certificate_is_found(folder: Path) -> None:
    _write_pair(folder, trustme.CA())
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(folder / "key.pem")

    done = _check(folder, '[tls]\ncert = "cert.pem"\nkey = "key.pem"\n')

    reason = "cert.pem and key.pem are not a certificate and its key (PEM)"
    assert (done.exit_code, done.stderr) == (1, f"Error: otelbridge.toml: tls.cert: {reason}\n")


def test_every_mistake_is_told_at_once(folder: Path) -> None:
    (folder / "store.toml").chmod(0o644)

    done = _check(folder, '[prices]\noverrides = "nope.toml"\n')

    assert done.exit_code == 1
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [
        "store.toml",
        "otelbridge.toml",
    ]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqlite:nope/journal.db", "nope is not a directory"),
        ("sqlite:folder", "folder is not a file that can be written to"),
    ],
)
def test_a_journal_that_cannot_be_kept_is_found(folder: Path, url: str, problem: str) -> None:
    (folder / "folder").mkdir()
    config = folder / "otelbridge.toml"
    config.write_text(config.read_text().replace("sqlite:journal.db", url))

    done = _check(folder)

    assert (done.exit_code, done.stderr) == (
        1,
        f"Error: otelbridge.toml: journal.url: {problem}\n",
    )


def test_a_check_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    CliRunner().invoke(cli, ["check"], catch_exceptions=False)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def _write_pair(folder: Path, authority: trustme.CA) -> None:
    leaf = authority.issue_cert("localhost")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
