"""Canaries: no error and no repr of the store shows a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.errors import StoreError
from otelbridge.store import load_store
from tests.store.files import (
    ALICE,
    GATEWAY,
    KEYS,
    MCP,
    OAUTH2,
    PEOPLE,
    PROVIDER,
    STATIC,
    sha256,
    write_store,
    write_tokens,
)
from tests.store.watchers import edit, watching

WRONG = [
    KEYS.replace("aliceKey01", "aliceKey01-CANARY"),
    KEYS.replace(sha256("S" * 22), "CANARY"),
    GATEWAY.replace(sha256("g" * 43), "CANARY"),
    GATEWAY + 'key = "CANARY"',
    MCP.replace("a.example.com", "user:CANARY@a.example.com"),
    MCP.replace("https://a.example.com", "ftp://user:CANARY@a.example.com"),
    MCP.replace("https://a.example.com", "user:CANARY@a.example.com"),
    MCP.replace("https://a.example.com", "a.example.com?token=CANARY"),
    STATIC + 'token = "CANARY\\n"',
    STATIC + 'token = ["CANARY"]',
    STATIC + 'token = { value = "CANARY" }',
    STATIC + 'token = { env = "CANARY-1" }',
    STATIC + 'token = { env = "TOKEN" }',
    STATIC + 'token = { file = "token" }',
    STATIC + 'tokens = "CANARY"',
    STATIC + 'tokens = { alice = ["CANARY"] }',
    PROVIDER + 'keys = "CANARY"',
    PROVIDER + 'keys = [["CANARY"]]',
    PROVIDER + 'bedrock = "CANARY"',
    PROVIDER + '[provider.bedrock]\naccess_key_secret = ["CANARY"]',
    OAUTH2 + 'client_secret = "CANARY\\n"',
    OAUTH2.replace("https://login", "http://CANARY@login"),
    '[[key]]\nid = "aliceKey01-CANARY"\n' * 2,
    '[[gateway]]\nkey_sha256 = "CANARY"\n' * 2,
    'token = "CANARY',
    'token = CANARY"',
]
ENVIRON = {"TOKEN": "CANARY\n"}


@pytest.mark.parametrize("text", WRONG)
def test_no_error_repeats_what_may_be_a_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text("CANARY\ntwo lines")
    path = write_store(tmp_path, text)

    with pytest.raises(StoreError) as caught:
        load_store(path, ENVIRON)

    assert "CANARY" not in f"{caught.value} {caught.value!r} {caught.value.problems}"


@pytest.mark.parametrize("text", WRONG)
async def test_no_line_of_the_log_and_no_readiness_repeats_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text("CANARY\ntwo lines")
    told: list[tuple[str, str]] = []

    async with watching(tmp_path, GATEWAY, ENVIRON) as (watcher, lines):
        edit(tmp_path, text)
        while not told or told[-1][0] != "WARNING":
            told.append(await lines.next())
        health = watcher.store.health

    assert told[0][0] == "ERROR"
    assert "CANARY" not in f"{told} {health} {health.told()}"


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_no_check_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, options: list[str]
) -> None:
    monkeypatch.setenv("TOKEN", ENVIRON["TOKEN"])
    (tmp_path / "token").write_text("CANARY\ntwo lines")
    (tmp_path / "otelbridge.toml").write_text("")
    write_store(tmp_path, text)
    write_tokens(tmp_path, {"github": {ALICE: {"access_token": "CANARY\n"}}})

    done = CliRunner().invoke(cli, ["check", "--config", f"{tmp_path}/otelbridge.toml", *options])

    assert done.exit_code == 1
    assert "tokens.json" in done.output
    assert "CANARY" not in done.output


def test_no_repr_of_a_snapshot_shows_a_secret_or_a_hash(tmp_path: Path) -> None:
    text = GATEWAY + PEOPLE + KEYS + STATIC + 'token = "CANARY"\ntokens = { bob = "CANARY" }\n'
    text += OAUTH2 + 'client_secret = "CANARY"\n' + PROVIDER + 'keys = ["CANARY"]\n'
    text += '[provider.bedrock]\naccess_key = "CANARY"\naccess_key_secret = "CANARY"\n'

    snapshot = load_store(write_store(tmp_path, text), {})

    shown = f"{snapshot} {snapshot!r} {list(snapshot.gateways.values())}"
    assert "CANARY" not in shown
    for text in ("S" * 22, "g" * 43):
        assert sha256(text) not in shown
        assert repr(bytes.fromhex(sha256(text)))[2:-1] not in shown
