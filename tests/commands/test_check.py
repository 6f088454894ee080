"""``otelbridge check``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trustme
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.config import Config
from tests.store.files import ALICE, OAUTH2, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


SECTIONS = ", ".join(Config.model_fields)


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


def _problems(done: Result) -> list[str]:
    assert (done.exit_code, done.stdout) == (1, "")
    return [line.removeprefix("Error: ") for line in done.stderr.splitlines()]


def test_what_init_wrote_is_ok_and_summed_up(folder: Path) -> None:
    done = _check(folder)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "otelbridge.toml: ok\n"
        "  grpc        127.0.0.1:50051, open to: local processes\n"
        "  http        127.0.0.1:8088\n"
        "  journal     journal.db\n"
        "  store       store.toml\n"
        "              users: 1, keys: 1, gateways: 1, MCP servers: 0, providers: 0, budgets: 0\n"
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
            '[prices]\noverrides = "prices.toml"',
            "otelbridge.toml: prices.overrides: prices.toml: No such file or directory",
        ),
        (
            '[[destination]]\nname = "otlp"\nendpoint = "https://h:1"\ntls = { ca = "ca.pem" }',
            "otelbridge.toml: destination otlp: tls.ca: ca.pem: No such file or directory",
        ),
        (
            (
                '[[destination]]\nname = "otlp"\nendpoint = "https://h:1"\n'
                'headers = { authorization = { file = "token" } }'
            ),
            (
                "otelbridge.toml: destination otlp.headers.authorization: token:"
                " no such file or directory"
            ),
        ),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_key(
    folder: Path, settings: str, problem: str
) -> None:
    done = _check(folder, settings)

    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {problem}\n")


def test_a_file_that_a_variable_names_is_looked_at(folder: Path) -> None:
    assert not (folder / "a.key").exists()
    environ = {"OTELBRIDGE_CONTENT__FINGERPRINT_KEY_FILE": "a.key"}

    done = CliRunner().invoke(cli, ["check"], env=environ)

    problem = "content.fingerprint_key_file: a.key: no such file or directory"
    assert _problems(done) == [f"otelbridge.toml: {problem}"]


def test_a_key_of_another_certificate_is_found(folder: Path) -> None:
    _write_pair(folder, trustme.CA())
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(folder / "key.pem")

    done = _check(folder, '[tls]\ncert = "cert.pem"\nkey = "key.pem"\n')

    reason = "cert.pem and key.pem are not a certificate and its key (PEM)"
    assert (done.exit_code, done.stderr) == (1, f"Error: otelbridge.toml: tls.cert: {reason}\n")


def test_every_mistake_is_told_at_once(folder: Path) -> None:
    (folder / "ca.pem").write_text("no certificate")
    write_tokens(folder, "{")
    with (folder / "store.toml").open("a") as store:
        store.write(f'[[key]]\nid = "1"\nuser = "eve"\n{OAUTH2.replace("token_url", "x")}')

    done = _check(
        folder,
        '[tls]\ncert = "cert.pem"\nkey = "key.pem"\n[prices]\noverrides = "nope.toml"\n'
        '[[destination]]\nname = "a"\nendpoint = "https://h"\ntls = { ca = "ca.pem" }\n',
    )

    assert [line.split(": ")[:2] for line in _problems(done)] == [
        ["store.toml", "key[1].id"],
        ["store.toml", "key[1].secret_sha256"],
        ["store.toml", "mcp_server[0].auth.x"],
        ["store.toml", "key[1].user"],
        ["store.toml", "mcp_server[0].auth"],
        ["tokens.json", "not a JSON file"],
        ["otelbridge.toml", "tls.cert"],
        ["otelbridge.toml", "tls.key"],
        ["otelbridge.toml", "prices.overrides"],
        ["otelbridge.toml", "destination a"],
    ]


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ('[log]\nlevel = "loud"', ["log.level"]),
        ("[log]\nlevel = 1\n[metrics]\ninterval_s = 0", ["metrics.interval_s", "log.level"]),
        ("[[destination]]", ["destination.0.name"]),
        ("[people]", ["people"]),
        ('[listen]\nhttp = "0.0.0.0:80"', ["listen.http"]),
        ("= 1", ["not a TOML file"]),
    ],
)
def test_mistakes_of_the_settings_do_not_hide_those_of_the_files_that_they_name(
    folder: Path, settings: str, problems: list[str]
) -> None:
    (folder / "people.toml").write_text("")
    (folder / "people.toml").chmod(0o600)
    config = '[store]\npath = "people.toml"\n[prices]\noverrides = "nope.toml"\n'
    (folder / "otelbridge.toml").write_text(f"{config}{settings}\n")
    (folder / "store.toml").rename(folder / "right.toml")

    lines = _problems(CliRunner().invoke(cli, ["check"]))

    found = [line.split(": ")[:2] for line in lines]
    named = [["people.toml", "there is no table in it"], ["otelbridge.toml", "prices.overrides"]]
    if settings == "= 1":
        named = []  # it is not known which they are
    assert found == [*(["otelbridge.toml", problem] for problem in problems), *named]


def test_a_section_that_is_wrong_elsewhere_still_names_its_file(folder: Path) -> None:
    (folder / "people.toml").write_text("")
    (folder / "otelbridge.toml").write_text('[store]\npath = "people.toml"\nmode = 384\n')

    lines = _problems(CliRunner().invoke(cli, ["check"]))

    assert [line.split(": ")[0] for line in lines] == ["otelbridge.toml"] + ["people.toml"] * 2


def test_destinations_that_are_right_are_looked_at_beside_one_that_is_not(folder: Path) -> None:
    done = _check(
        folder,
        '[[destination]]\nname = "a b"\nendpoint = "http://h"\n'
        '[[destination]]\nname = "b"\nendpoint = "http://h"\ntls = { ca = "ca.pem" }\n',
    )

    assert [line.split(": ")[1] for line in _problems(done)] == [
        "destination.0.name",
        "destination b",
    ]


def test_the_store_of_settings_that_are_no_toml_is_looked_at_where_it_usually_is(
    folder: Path,
) -> None:
    (folder / "store.toml").chmod(0o644)
    (folder / "otelbridge.toml").write_text("= 1\n")

    lines = _problems(CliRunner().invoke(cli, ["check"]))

    assert [line.split(": ")[0] for line in lines] == ["otelbridge.toml", "store.toml"]


def test_settings_that_are_not_there_are_one_mistake(folder: Path) -> None:
    (folder / "otelbridge.toml").unlink()
    (folder / "store.toml").chmod(0o644)

    lines = _problems(CliRunner().invoke(cli, ["check"]))

    assert lines == ["otelbridge.toml: no such file; `otelbridge init` writes one"]


def test_a_client_s_key_of_another_certificate_is_found(folder: Path) -> None:
    _write_pair(folder, trustme.CA())
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(folder / "key.pem")

    done = _check(
        folder,
        '[[destination]]\nname = "a"\nendpoint = "https://h"\n'
        'tls = { cert = "cert.pem", key = "key.pem", ca = "cert.pem" }\n',
    )

    reason = "cert.pem and key.pem are not a certificate and its key (PEM)"
    assert _problems(done) == [f"otelbridge.toml: destination a: tls.cert: {reason}"]


@pytest.mark.parametrize(
    ("mode", "link", "problem"),
    [
        (0o640, {"access_token": "CANARY"}, "mode 0640 is open to others"),
        (0o600, {"access_token": "CANARY\n"}, f"github.{ALICE}: neither an access_token nor"),
        (0o600, {"access_token": "t", "expires_at": "CANARY"}, f"github.{ALICE}: neither an"),
        (0o600, ["CANARY"], f"github.{ALICE}: neither an access_token nor a refresh_token"),
    ],
)
def test_logins_that_are_of_no_use_are_found(
    folder: Path, mode: int, link: object, problem: str
) -> None:
    write_tokens(folder, {"github": {ALICE: link}}, mode=mode)

    (line,) = _problems(_check(folder))

    assert line.startswith(f"tokens.json: {problem}")
    assert "CANARY" not in line


@pytest.mark.parametrize("link", [{"access_token": "t"}, {"refresh_token": "t"}])
def test_logins_that_are_of_use_are_right(folder: Path, link: dict[str, str]) -> None:
    write_tokens(folder, {"github": {ALICE: link}})

    assert _check(folder).exit_code == 0


def test_a_script_reads_what_is_wrong_as_json(folder: Path) -> None:
    right = CliRunner().invoke(cli, ["check", "--json"])
    (folder / "store.toml").write_text("[[user]]\n")
    (folder / "otelbridge.toml").write_text("[people]\n")

    done = CliRunner().invoke(cli, ["check", "--json"])

    assert (right.exit_code, json.loads(right.stdout)) == (0, {"ok": True, "problems": []})
    assert (done.exit_code, done.stderr) == (1, "")
    assert json.loads(done.stdout) == {
        "ok": False,
        "problems": [
            {"file": "otelbridge.toml", "text": f"people: unknown key; known: {SECTIONS}"},
            {"file": "store.toml", "text": "user[0].id: missing, it has no default"},
            {"file": "store.toml", "text": "user[0].name: missing, it has no default"},
        ],
    }


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
