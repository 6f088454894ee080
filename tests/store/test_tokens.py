"""Tokens that change by themselves, and which token a user has at a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbridge.domain.access import Grant, McpServer, OAuth2Auth, Secret, StaticAuth
from otelbridge.errors import StoreError
from otelbridge.store.tokens import Link, NoToken, read_links, token_for
from tests.store.files import ALICE, BOB, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.store.tokens import Links

S = 1_000_000_000
NOW_NS = 1_798_761_600 * S  # 2027-01-01T00:00:00Z
ALICE_ID = UUID(ALICE)
OPEN = McpServer(id="open", url="https://open.example.com")
STATIC = McpServer(
    id="static", url="https://s.example.com", auth=StaticAuth(tokens={ALICE_ID: Secret("own")})
)
GITHUB = McpServer(
    id="github",
    url="https://g.example.com",
    auth=OAuth2Auth(grant=Grant.REFRESH_TOKEN, client_id="c", token_url="https://t.example.com"),
)


def linked(expires_at_ns: int | None) -> Links:
    return {("github", ALICE_ID): Link(access_token=Secret("at"), expires_at_ns=expires_at_ns)}


@pytest.mark.parametrize(
    ("server", "links", "expected"),
    [
        (None, {}, "no MCP config found"),
        (OPEN, None, Secret("")),
        (STATIC, None, Secret("own")),
        (GITHUB, {}, "no external auth link found"),
        (GITHUB, {("gitlab", ALICE_ID): Link(access_token=Secret("x"))}, NoToken.NO_LINK),
        (GITHUB, {("github", UUID(BOB)): Link(access_token=Secret("x"))}, NoToken.NO_LINK),
        (GITHUB, None, "OAuth2 tokens cannot be read"),
        (GITHUB, linked(None), Secret("at")),
        (GITHUB, linked(NOW_NS + 30 * S + 1), Secret("at")),
        (GITHUB, linked(NOW_NS + 30 * S), "expired or invalid OAuth2 token"),
        (GITHUB, linked(NOW_NS - 1), NoToken.EXPIRED),
    ],
)
def test_a_token_or_the_reason_for_none(
    server: McpServer | None, links: Links | None, expected: Secret | str
) -> None:
    assert token_for(server, ALICE_ID, links=links, now_ns=NOW_NS) == expected


def test_a_user_without_a_static_token_has_no_link() -> None:
    assert token_for(STATIC, UUID(BOB), links={}, now_ns=0) is NoToken.NO_LINK


def test_links_are_read_with_their_end(tmp_path: Path) -> None:
    path = write_tokens(
        tmp_path,
        {
            "github": {
                ALICE: {
                    "access_token": "at",
                    "refresh_token": "rt",
                    "expires_at": "2027-01-01T01:00:00.5+01:00",
                    "scopes": ["repo"],
                },
                BOB.upper(): {"access_token": "bobs", "expires_at": None},
            }
        },
    )

    assert read_links(path) == {
        ("github", ALICE_ID): Link(access_token=Secret("at"), expires_at_ns=NOW_NS + S // 2),
        ("github", UUID(BOB)): Link(access_token=Secret("bobs"), expires_at_ns=None),
    }


def test_a_file_that_is_not_there_has_no_links(tmp_path: Path) -> None:
    assert read_links(tmp_path / "tokens.json") == {}


@pytest.mark.parametrize(
    "link",
    [
        None,
        "at",
        {},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "two\nlines"},
        {"access_token": "at", "expires_at": "soon"},
        {"access_token": "at", "expires_at": 1},
        {"access_token": "at", "expires_at": "2027-01-01T00:00:00"},
    ],
)
def test_a_broken_link_is_no_token_and_spoils_no_other(tmp_path: Path, link: Any) -> None:
    path = write_tokens(
        tmp_path, {"x": 1, "github": {ALICE: link, BOB: {"access_token": "bobs"}, "eve": {}}}
    )

    links = read_links(path)

    assert token_for(GITHUB, ALICE_ID, links=links, now_ns=NOW_NS) is NoToken.EXPIRED
    assert token_for(GITHUB, UUID(BOB), links=links, now_ns=NOW_NS) == Secret("bobs")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a JSON file: Expecting value: line 1 column 1 (char 0)"),
        ('{"github": CANARY', "not a JSON file: Expecting value: line 1 column 12 (char 11)"),
        ('["CANARY"]', "not a JSON object"),
        ("[" * 100_000, "not a JSON file: nested too deeply"),
    ],
)
def test_a_file_of_another_form_is_told_without_what_is_in_it(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(StoreError) as caught:
        read_links(write_tokens(tmp_path, text))

    assert caught.value.problems == [f"tokens.json: {problem}"]


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_tokens_that_others_may_read_are_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(StoreError, match=rf"\Atokens\.json: mode {mode:04o} is open to others"):
        read_links(write_tokens(tmp_path, {}, mode=mode))


@given(data=st.binary(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_links_or_told(tmp_path: Path, data: bytes) -> None:
    path = write_tokens(tmp_path, "")
    path.write_bytes(data)

    try:
        read_links(path)
        problems = []
    except StoreError as error:
        problems = error.problems

    assert all(problem.startswith("tokens.json: ") for problem in problems)


def test_no_repr_of_a_link_shows_its_token(tmp_path: Path) -> None:
    path = write_tokens(tmp_path, {"github": {ALICE: {"access_token": "CANARY"}}})

    assert "CANARY" not in repr(read_links(path))
