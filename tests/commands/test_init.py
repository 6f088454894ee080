"""``otelbridge init`` writes files that work, once."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from otelbridge.commands.init import init, initialise
from otelbridge.config import Config, load_config
from otelbridge.domain.access import Status, authorise, gateway_of
from otelbridge.errors import ConfigError
from otelbridge.store import load_store

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

NAMES = {"otelbridge.toml", "store.toml"}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(init, arguments)


def shown_keys(result: Result) -> tuple[str, str]:
    user, gateway = result.stdout.splitlines()
    return user.removeprefix("user key: "), gateway.removeprefix("gateway key: ")


def uncommented(text: str) -> str:
    return re.sub(r"(?m)^#(?=[a-z\[])", "", text)


def test_the_keys_are_shown_once_on_standard_output_and_nothing_else(tmp_path: Path) -> None:
    result = run(str(tmp_path))

    assert result.exit_code == 0
    assert re.fullmatch(
        r"user key: [A-Za-z0-9]{10}-[A-Za-z0-9]{22}\ngateway key: [A-Za-z0-9_-]{43}\n",
        result.stdout,
    )
    assert "otelbridge.toml" in result.stderr


def test_the_keys_that_are_shown_are_the_ones_in_the_store(tmp_path: Path) -> None:
    user_key, gateway_key = shown_keys(run(str(tmp_path)))

    snapshot = load_store(tmp_path / "store.toml", {})

    user = authorise(snapshot, user_key, now_ns=0).user
    gateway = gateway_of(snapshot, gateway_key)
    assert gateway is not None
    assert (user.name, user.status, gateway.name) == ("admin", Status.ACTIVE, "default")


def test_no_key_is_stored(tmp_path: Path) -> None:
    user_key, gateway_key = shown_keys(run(str(tmp_path)))

    written = "".join(path.read_text() for path in tmp_path.iterdir())

    assert user_key.partition("-")[2] not in written
    assert gateway_key not in written


def test_credentials_show_no_key(tmp_path: Path) -> None:
    credentials = initialise(tmp_path)

    assert credentials.gateway_key.reveal() not in repr(credentials)
    assert credentials.user_key.reveal() not in repr(credentials)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_open_the_files(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        initialise(tmp_path)
    finally:
        os.umask(before)

    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
        NAMES, 0o600
    )


def test_a_directory_is_made_and_the_current_one_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(str(tmp_path / "a" / "b")).exit_code == 0
    monkeypatch.chdir(tmp_path)
    assert run().exit_code == 0

    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == NAMES
    assert {path.name for path in tmp_path.iterdir()} == NAMES | {"a"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_existing_file_is_kept_and_no_other_is_left(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    result = run(str(tmp_path))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {tmp_path / name} exists, it is not overwritten\n"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "otelbridge.toml").symlink_to(tmp_path / "elsewhere")

    assert run(str(tmp_path)).exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["otelbridge.toml"]


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = run(str(tmp_path / "file" / "below"))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {tmp_path / 'file' / 'below'}: Not a directory\n"


def test_a_second_start_is_refused(tmp_path: Path) -> None:
    initialise(tmp_path)

    with pytest.raises(ConfigError, match="exists, it is not overwritten"):
        initialise(tmp_path)


def test_the_settings_are_the_defaults_relative_to_their_file(tmp_path: Path) -> None:
    initialise(tmp_path)

    config = load_config(tmp_path / "otelbridge.toml", {})

    assert config.store.path == tmp_path / "store.toml"
    assert config.journal.path == tmp_path / "journal.db"
    assert config.destination == ()


def test_every_default_that_the_settings_show_is_the_default(tmp_path: Path) -> None:
    initialise(tmp_path)
    path = tmp_path / "otelbridge.toml"
    path.write_text(uncommented(path.read_text()))

    shown, default = load_config(path, {}), Config()

    sections = set(Config.model_fields) - {"store", "journal", "destination"}
    assert {name: getattr(shown, name) for name in sections} == {
        name: getattr(default, name) for name in sections
    }
    assert shown.journal.max_bytes == default.journal.max_bytes
    assert shown.journal.dedup_s == default.journal.dedup_s
    assert [destination.name for destination in shown.destination] == ["collector"]


def test_every_example_in_the_store_works(tmp_path: Path) -> None:
    user_key, _ = shown_keys(run(str(tmp_path)))
    path = tmp_path / "store.toml"
    path.write_text(uncommented(path.read_text()))

    snapshot = load_store(path, {"DOCS_TOKEN": "d", "ANTHROPIC_API_KEY": "a"})

    assert authorise(snapshot, user_key, now_ns=0).expires_at_ns is not None
    assert (list(snapshot.mcp_servers), list(snapshot.providers)) == (["docs"], ["anthropic"])
    assert list(snapshot.budgets) == [None]
