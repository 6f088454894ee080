"""Loading a store file that is right."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from otelbridge.domain.access import (
    Bedrock,
    Grant,
    McpServer,
    OAuth2Auth,
    Provider,
    Secret,
    StaticAuth,
    Status,
    authorise,
    gateway_of,
)
from otelbridge.domain.budgets import Budget, Period
from otelbridge.store import load_store
from tests.store.files import (
    ALICE,
    ALICE_KEY,
    BOB,
    GATEWAY,
    GATEWAY_KEY,
    KEYS,
    OAUTH2,
    PEOPLE,
    write_store,
)

if TYPE_CHECKING:
    from pathlib import Path

EXPIRY_NS = 4_070_908_800_000_000_000  # date -d 2099-01-01T00:00:00Z +%s


def test_the_key_that_was_hashed_is_accepted_until_it_expires(tmp_path: Path) -> None:
    snapshot = load_store(write_store(tmp_path, PEOPLE + KEYS), {})

    key = authorise(snapshot, ALICE_KEY, now_ns=EXPIRY_NS - 1)

    assert (key.id, key.user.id, key.user.name) == ("aliceKey01", UUID(ALICE), "alice")
    assert key.expires_at_ns == EXPIRY_NS


def test_the_gateway_key_that_was_hashed_names_its_gateway(tmp_path: Path) -> None:
    snapshot = load_store(write_store(tmp_path, GATEWAY), {})

    gateway = gateway_of(snapshot, GATEWAY_KEY)

    assert gateway is not None
    assert gateway.name == "eu-1"


def test_hashes_and_ids_may_be_written_in_capitals(tmp_path: Path) -> None:
    text = GATEWAY + PEOPLE + KEYS
    lines = [line.upper() if "sha256" in line else line for line in text.splitlines()]
    shouted = "\n".join(lines).replace("KEY_SHA256", "key_sha256").replace("SECRET_", "secret_")

    snapshot = load_store(write_store(tmp_path, shouted.replace("SHA256", "sha256")), {})

    assert gateway_of(snapshot, GATEWAY_KEY) is not None
    assert authorise(snapshot, ALICE_KEY, now_ns=0).user.id == UUID(ALICE)


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_read(tmp_path: Path, status: Status) -> None:
    text = PEOPLE.replace('"active"', f'"{status}"')

    snapshot = load_store(write_store(tmp_path, text), {})

    assert snapshot.users[UUID(BOB)].status is status


def test_secrets_come_from_the_file_itself_the_environment_or_files_beside_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "third").write_text("from a file\n")
    text = """
    [[provider]]
    name = "anthropic"
    type = "anthropic"
    keys = ["written out", { env = "KEY" }, { file = "secrets/third" }]
    """

    snapshot = load_store(write_store(tmp_path, text), {"KEY": "from the environment"})

    keys = [key.reveal() for key in snapshot.providers["anthropic"].keys]
    assert keys == ["written out", "from the environment", "from a file"]


def test_a_static_server_has_a_token_for_all_and_own_ones(tmp_path: Path) -> None:
    text = (
        PEOPLE
        + """
    [[mcp_server]]
    id = "docs"
    url = "http://docs.internal/mcp"
    tool_allow_regex = "^(get|list)_"
    tool_deny_regex = "secret"
    auth = { kind = "static", token = "all", tokens = { bob = { env = "BOB" } } }
    """
    )

    snapshot = load_store(write_store(tmp_path, text), {"BOB": "bobs"})

    assert snapshot.mcp_servers["docs"] == McpServer(
        id="docs",
        url="http://docs.internal/mcp",
        tool_allow_regex="^(get|list)_",
        tool_deny_regex="secret",
        auth=StaticAuth(token=Secret("all"), tokens={UUID(BOB): Secret("bobs")}),
    )


def test_an_oauth2_server_has_every_key_of_its_table(tmp_path: Path) -> None:
    text = """
    [[mcp_server]]
    id = "github"
    url = "https://mcp.example.com/mcp"
    receives_coder_token = false
    [mcp_server.auth]
    kind = "oauth2"
    grant = "client_credentials"
    issuer = "https://login.example.com"
    token_url = "https://login.example.com/token"
    authorization_url = "https://login.example.com/authorize"
    device_authorization_url = "https://login.example.com/device"
    client_id = "client"
    client_secret = "hush"
    scopes = ["repo", "user"]
    validate_url = "http://127.0.0.1:8080/user"
    """

    snapshot = load_store(write_store(tmp_path, text), {})

    assert snapshot.mcp_servers["github"].auth == OAuth2Auth(
        grant=Grant.CLIENT_CREDENTIALS,
        client_id="client",
        client_secret=Secret("hush"),
        scopes=("repo", "user"),
        issuer="https://login.example.com",
        token_url="https://login.example.com/token",
        authorization_url="https://login.example.com/authorize",
        device_authorization_url="https://login.example.com/device",
        validate_url="http://127.0.0.1:8080/user",
    )


def test_an_oauth2_server_defaults_to_a_login_per_user(tmp_path: Path) -> None:
    auth = load_store(write_store(tmp_path, OAUTH2), {}).mcp_servers["github"].auth

    assert isinstance(auth, OAuth2Auth)
    assert auth.grant is Grant.REFRESH_TOKEN


@pytest.mark.parametrize("auth", ["", '[mcp_server.auth]\nkind = "none"'])
def test_a_server_without_auth_asks_for_no_token(tmp_path: Path, auth: str) -> None:
    text = f'[[mcp_server]]\nid = "open"\nurl = "https://open.example.com"\n{auth}'

    assert load_store(write_store(tmp_path, text), {}).mcp_servers["open"].auth is None


def test_a_provider_has_every_key_of_its_tables(tmp_path: Path) -> None:
    text = """
    [[provider]]
    name = "aws"
    type = "anthropic"
    enabled = false
    base_url = "https://api.example.com/"
    keys = []
    [provider.bedrock]
    region = "eu-1"
    access_key = "AKIA"
    access_key_secret = { env = "AWS" }
    model = "m"
    small_fast_model = "s"
    role_arn = "arn"
    external_id = "x"
    protocol = "p"
    resolved_model = "rm"
    resolved_small_fast_model = "rs"
    """

    provider = load_store(write_store(tmp_path, text), {"AWS": "hush"}).providers["aws"]

    assert provider == Provider(
        name="aws",
        type="anthropic",
        enabled=False,
        base_url="https://api.example.com/",
        bedrock=Bedrock(
            region="eu-1",
            access_key=Secret("AKIA"),
            access_key_secret=Secret("hush"),
            model="m",
            small_fast_model="s",
            role_arn="arn",
            external_id="x",
            protocol="p",
            resolved_model="rm",
            resolved_small_fast_model="rs",
        ),
    )


@pytest.mark.parametrize(
    ("written", "micros"),
    [
        ('"50.00"', 50_000_000),
        ('"0.000001"', 1),
        ('"0"', 0),
        ("50", 50_000_000),
        ("0.1", 100_000),
        ('"1e3"', 1_000_000_000),
        ('"1000000000"', 10**15),
    ],
)
def test_a_budget_is_read_to_the_micro_dollar(tmp_path: Path, written: str, micros: int) -> None:
    text = f"""{PEOPLE}
    [[budget]]
    user = "*"
    limit_usd = {written}
    period = "month"
    [[budget]]
    user = "bob"
    limit_usd = "1"
    period = "week"
    """

    budgets = load_store(write_store(tmp_path, text), {}).budgets

    assert budgets == {
        None: Budget(limit_micros=micros, period=Period.MONTH),
        UUID(BOB): Budget(limit_micros=1_000_000, period=Period.WEEK),
    }


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    link = tmp_path / "store.toml"
    link.symlink_to(write_store(tmp_path / "mounted", GATEWAY))

    assert gateway_of(load_store(link, {}), GATEWAY_KEY) is not None


def test_a_snapshot_cannot_be_changed(tmp_path: Path) -> None:
    snapshot = load_store(write_store(tmp_path, PEOPLE + KEYS), {})

    with pytest.raises(TypeError):
        snapshot.keys["other"] = snapshot.keys["aliceKey01"]  # type: ignore[index]  # the point
