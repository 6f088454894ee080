"""What is wrong with a store file is told: place, value, what is allowed, all at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from otelbridge.errors import StoreError
from otelbridge.store import load_store
from tests.faults import fault
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
)

if TYPE_CHECKING:
    from pathlib import Path

BUDGET = '[[budget]]\nuser = "*"\nlimit_usd = "1"\nperiod = "day"\n'
USER_KEYS = "id, name, status"
URL_FORM = "is not a URL of the form http(s)://HOST[:PORT][/PATH]"
LABEL = "is not allowed: 1 to 64 printable characters, no space at the ends"
CASES = {
    # Unknown and missing keys.
    "[[people]]\nx = 1": "people: unknown key; known: "
    "gateway, user, key, mcp_server, provider, budget",
    PEOPLE + 'nick = "x"': f"user[1].nick: unknown key; known: {USER_KEYS}",
    STATIC + 'token = "t"\ntokn = "u"': "mcp_server[0].auth.tokn: unknown key; "
    "known: kind, token, tokens",
    PROVIDER + "[provider.bedrock]\nzone = 1": "provider[0].bedrock.zone: unknown key; known: "
    "region, access_key, access_key_secret, model, small_fast_model, role_arn, external_id, "
    "protocol, resolved_model, resolved_small_fast_model",
    MCP + '[mcp_server.auth]\nkind = "none"\ntoken = "t"': "mcp_server[0].auth.token: "
    "unknown key; known: kind",
    '[[gateway]]\nname = "a"': "gateway[0].key_sha256: missing, it has no default",
    # Shapes.
    '[user]\nname = "a"': "user: not an array of tables, write [[user]]",
    "user = [1]": "user[0]: not a table",
    PROVIDER + "enabled = 1": "provider[0].enabled: not true or false",
    PROVIDER + 'keys = "sk"': "provider[0].keys: not a list",
    PROVIDER + "base_url = 1": "provider[0].base_url: not a string",
    MCP + "auth = 1": "mcp_server[0].auth: not a table",
    STATIC + "tokens = 1": "mcp_server[0].auth.tokens: not a table",
    # Users.
    PEOPLE.replace(ALICE, "alice"): 'user[0].id: "alice" is not a UUID',
    PEOPLE.replace(ALICE, f"{{{ALICE}}}"): f'user[0].id: "{{{ALICE}}}" is not a UUID',
    PEOPLE.replace(f'"{ALICE}"', "7"): "user[0].id: 7 is not a UUID",
    PEOPLE.replace(ALICE, "00000000-0000-0000-0000-000000000000"): "user[0].id: "
    "the nil UUID is not allowed",
    PEOPLE.replace("active", "away"): 'user[1].status: "away" is not one of '
    "'active', 'suspended', 'dormant', 'deleted' or 'system'",
    PEOPLE.replace("alice", ""): f'user[0].name: "" {LABEL}',
    PEOPLE.replace("alice", r"a\u0007"): rf'user[0].name: "a\x07" {LABEL}',
    PEOPLE.replace("alice", "*"): 'user[0].name: "*" means everybody and cannot be a name',
    PEOPLE.replace("alice", "bob"): 'user[1].name: "bob" is used already, by user[0]',
    PEOPLE + PEOPLE.replace(ALICE, ALICE.upper()).replace("alice", "al").partition("\n\n")[0]: (
        f'user[2].id: "{ALICE.upper()}" is used already, by user[0]'
    ),
    # Keys.
    PEOPLE + KEYS.replace("aliceKey01", "alice-Key0"): "key[0].id: value of 10 characters "
    "is not a key id, which has 10 of A-Z, a-z, 0-9",
    PEOPLE + KEYS.replace('"aliceKey01"', "1"): "key[0].id: value is not a key id, which has 10 "
    "of A-Z, a-z, 0-9",
    PEOPLE + KEYS.replace('"alice"', '"eve"'): 'key[0].user: no user is named "eve"',
    PEOPLE + KEYS.replace(sha256("S" * 22), "5ea1"): "key[0].secret_sha256: value of 4 "
    "characters is not a SHA-256, which has 64 hex digits",
    PEOPLE + KEYS.replace(sha256("S" * 22), sha256("")): "key[0].secret_sha256: "
    "this is the hash of an empty text",
    PEOPLE + KEYS + KEYS: "key[1].id: the value is used already, by key[0]",
    PEOPLE + KEYS.replace("00Z", "00"): 'key[0].expires_at: "2099-01-01 00:00:00" '
    "is not a TOML time with an offset, as 2027-01-01T00:00:00Z",
    PEOPLE + KEYS.replace("2099-01-01T00:00:00Z", '"soon"'): 'key[0].expires_at: "soon" '
    "is not a TOML time with an offset, as 2027-01-01T00:00:00Z",
    # Gateways.
    GATEWAY + GATEWAY.replace("eu-1", "eu-2"): "gateway[1].key_sha256: the value is used already, "
    "by gateway[0]",
    GATEWAY + GATEWAY.replace(sha256("g" * 43), sha256("h")): 'gateway[1].name: "eu-1" '
    "is used already, by gateway[0]",
    # MCP servers.
    MCP.replace("https", "ftp"): f'mcp_server[0].url: "ftp://a.example.com" {URL_FORM}',
    MCP.replace("https://a.example.com", "a.example.com"): 'mcp_server[0].url: "a.example.com" '
    + URL_FORM,
    MCP.replace(".com", ".com:99999"): 'mcp_server[0].url: "https://a.example.com:99999" '
    + URL_FORM,
    MCP.replace(".com", ".com/a b"): f'mcp_server[0].url: "https://a.example.com/a b" {URL_FORM}',
    MCP.replace("a.ex", "[a.ex"): f'mcp_server[0].url: "https://[a.example.com" {URL_FORM}',
    MCP + 'tool_allow_regex = "(get"': 'mcp_server[0].tool_allow_regex: "(get" '
    "is not an RE2 pattern: missing ): (get",
    MCP + 'tool_deny_regex = "(?=x)"': 'mcp_server[0].tool_deny_regex: "(?=x)" '
    "is not an RE2 pattern: invalid perl operator: (?=",
    MCP + MCP: 'mcp_server[1].id: "a" is used already, by mcp_server[0]',
    MCP
    + "receives_coder_token = true\n"
    + MCP.replace('"a"', '"b"')
    + "receives_coder_token = true": "mcp_server[1].receives_coder_token: true already for "
    "mcp_server[0], at most one is allowed",
    MCP + '[mcp_server.auth]\nkind = "basic"': 'mcp_server[0].auth: kind "basic" is not one of '
    "none, static, oauth2",
    MCP + '[mcp_server.auth]\ntoken = "t"': "mcp_server[0].auth: "
    "kind is missing: none, static or oauth2",
    STATIC: "mcp_server[0].auth: static needs token (one for all) or tokens (one a user)",
    STATIC + 'tokens = { eve = "t" }': 'mcp_server[0].auth.tokens: no user is named "eve"',
    OAUTH2.replace("token_url", "validate_url"): "mcp_server[0].auth: "
    "oauth2 needs token_url, or issuer to discover it",
    OAUTH2 + 'grant = "client_credentials"': "mcp_server[0].auth: "
    "grant client_credentials needs client_secret",
    OAUTH2 + 'grant = "password"': 'mcp_server[0].auth.grant: "password" is not one of '
    "'refresh_token' or 'client_credentials'",
    OAUTH2.replace("https://login", "http://login"): "mcp_server[0].auth.token_url: "
    '"http://login.example.com/token" is not https, http is for loopback addresses only',
    # Secrets.
    STATIC + "token = 5": "mcp_server[0].auth.token: "
    'not a string, { env = "NAME" } or { file = "PATH" }',
    STATIC + 'token = { env = "A", file = "b" }': "mcp_server[0].auth.token: "
    'not a string, { env = "NAME" } or { file = "PATH" }',
    STATIC + 'token = { env = "UNSET" }': "mcp_server[0].auth.token: "
    'environment variable "UNSET" is not set',
    STATIC + 'token = { env = "EMPTY" }': "mcp_server[0].auth.token: "
    'environment variable "EMPTY": the secret is empty',
    STATIC + 'token = { env = "sk-1" }': "mcp_server[0].auth.token: "
    "env is not the name of an environment variable",
    STATIC + 'token = { file = "none.tok" }': "mcp_server[0].auth.token: "
    'file "none.tok": no such file or directory',
    STATIC + 'token = { file = "." }': 'mcp_server[0].auth.token: file ".": not a regular file',
    STATIC + 'token = { file = "/dev/zero" }': "mcp_server[0].auth.token: "
    'file "/dev/zero": not a regular file',
    STATIC + 'token = { file = "lines" }': "mcp_server[0].auth.token: "
    'file "lines": the secret has a line break or another unprintable character',
    STATIC + 'token = { file = "binary" }': 'mcp_server[0].auth.token: file "binary": '
    "not UTF-8 text",
    STATIC + 'token = { file = "large" }': 'mcp_server[0].auth.token: file "large": '
    "larger than 65536 bytes, which is the limit",
    STATIC + r'tokens = { alice = "" }' + PEOPLE: "mcp_server[0].auth.tokens.alice: "
    "the secret is empty",
    # Providers and budgets.
    PROVIDER + PROVIDER: 'provider[1].name: "p" is used already, by provider[0]',
    PROVIDER + 'keys = ["k", { env = "UNSET" }]': "provider[0].keys[1]: "
    'environment variable "UNSET" is not set',
    BUDGET + BUDGET: 'budget[1].user: "*" is used already, by budget[0]',
    BUDGET.replace("*", "eve"): 'budget[0].user: no user is named "eve", nor is it "*"',
    BUDGET.replace("day", "year"): 'budget[0].period: "year" is not one of '
    "'day', 'week' or 'month'",
    BUDGET.replace('"1"', '"lots"'): 'budget[0].limit_usd: "lots" is not a decimal number, '
    'as "50.00"',
    BUDGET.replace('"1"', "true"): 'budget[0].limit_usd: True is not a decimal number, as "50.00"',
    BUDGET.replace('"1"', '"-1"'): 'budget[0].limit_usd: "-1" is not from 0 to 1000000000 USD',
    BUDGET.replace('"1"', "inf"): 'budget[0].limit_usd: "Infinity" is not from 0 to 1000000000 USD',
    BUDGET.replace('"1"', "0.0000001"): 'budget[0].limit_usd: "1E-7" has more than 6 decimal '
    "places",
    # Not a store file at all.
    "": "there is no table in it: a truncated file must not lock everybody out",
    "# only a comment": "there is no table in it: a truncated file must not lock everybody out",
    "user = []": "there is no table in it: a truncated file must not lock everybody out",
    '[[user]]\nname = "al': "not a TOML file: Unterminated string (at end of document)",
    f"a = {'[' * 10_000}": "not a TOML file: nested too deeply",
}


@pytest.mark.parametrize(("text", "problem"), CASES.items(), ids=CASES.values())
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "lines").write_text("one\ntwo")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_text("x" * 65537)
    path = write_store(tmp_path, text)

    with pytest.raises(StoreError) as caught:
        load_store(path, {"EMPTY": ""})

    assert caught.value.problems == [f"store.toml: {problem}"]


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = PEOPLE.replace(ALICE, "x") + KEYS.replace('"alice"', '"eve"') + MCP.replace("https", "")
    path = write_store(tmp_path, text + BUDGET + BUDGET, mode=0o640)

    with pytest.raises(StoreError) as caught:
        load_store(path, {})

    places = [problem.split(": ")[1] for problem in caught.value.problems]
    assert places == [
        "mode 0640 is open to others than its owner, 0600 is allowed (chmod 600)",
        "user[0].id",
        "mcp_server[0].url",
        "budget[1].user",
        "key[0].user",
    ]


def test_a_user_who_is_wrong_elsewhere_is_no_dangling_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        load_store(write_store(tmp_path, PEOPLE.replace(ALICE, "x") + KEYS), {})

    assert caught.value.problems == ['store.toml: user[0].id: "x" is not a UUID']


@fault(34)
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o777])
def test_a_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(StoreError, match=f"mode {mode:04o} is open to others"):
        load_store(write_store(tmp_path, GATEWAY, mode=mode), {})


def test_a_store_that_is_not_there_is_told_by_its_own_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"\Apeople\.toml: no such file or directory\Z"):
        load_store(tmp_path / "people.toml", {})


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "store.toml", 0o600)

    with pytest.raises(StoreError, match="not a regular file"):
        load_store(tmp_path / "store.toml", {})


def test_a_file_of_noise_does_not_flood_the_log(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        load_store(write_store(tmp_path, "[[user]]\n" * 1000), {})

    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1] == "store.toml: and 1900 more"


def test_a_bad_pattern_is_told_by_the_error_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError):
        load_store(write_store(tmp_path, MCP + 'tool_allow_regex = "("'), {})

    assert capfd.readouterr() == ("", "")
