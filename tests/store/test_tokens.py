"""Tokens that change by themselves: how links are read and written."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.domain.access import Secret
from otelbridge.store.tokens import (
    Broken,
    Link,
    find_link,
    links_of,
    parse_document,
    put_link,
)
from tests.store.files import ALICE, BOB

S = 1_000_000_000
NOW_NS = 1_798_761_600 * S  # 2027-01-01T00:00:00Z
ALICE_ID = UUID(ALICE)
BOB_ID = UUID(BOB)
NONE = Link(access_token=Secret(""), expires_at_ns=0)
FULL = Link(
    access_token=Secret("at"),
    expires_at_ns=NOW_NS + 1000,
    refresh_token=Secret("rt"),
    scopes=("repo", "user"),
    refresh_began_ns=NOW_NS - S,
    broken=Broken(reason="invalid_grant", since_ns=NOW_NS, settings="0123456789abcdef"),
)
WRITTEN = {
    "access_token": "at",
    "refresh_token": "rt",
    "expires_at": "2027-01-01T00:00:00.000001Z",
    "scopes": ["repo", "user"],
    "refresh_began_at": "2026-12-31T23:59:59Z",
    "broken": {
        "reason": "invalid_grant",
        "since": "2027-01-01T00:00:00Z",
        "settings": "0123456789abcdef",
    },
}


def read(link: object) -> Link:
    return dict(links_of({"github": {ALICE: link}}))["github", ALICE_ID]


def written(link: Link) -> object:
    document: dict[str, Any] = {}
    put_link(document, "github", ALICE_ID, link)
    return document["github"][ALICE]


def test_a_link_is_written_and_read_with_all_that_it_has() -> None:
    assert written(FULL) == WRITTEN
    assert read(WRITTEN) == FULL


def test_what_a_link_does_not_have_is_not_written() -> None:
    assert written(Link(access_token=Secret("at"))) == {"access_token": "at", "scopes": []}


def test_times_are_read_with_any_offset_and_users_in_any_case() -> None:
    document = {
        "github": {
            ALICE: {"access_token": "at", "expires_at": "2027-01-01T01:00:00.5+01:00"},
            BOB.upper(): {"access_token": "bobs", "expires_at": None},
        }
    }

    assert dict(links_of(document)) == {
        ("github", ALICE_ID): Link(access_token=Secret("at"), expires_at_ns=NOW_NS + S // 2),
        ("github", BOB_ID): Link(access_token=Secret("bobs")),
    }


def test_a_time_beyond_the_calendar_is_as_good_as_never() -> None:
    link = read(written(Link(access_token=Secret("at"), expires_at_ns=10**20)))

    assert link.expires_at_ns is not None
    assert not link.is_expired(NOW_NS)


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
        {"scopes": "repo", "refresh_token": "", "broken": True, "refresh_began_at": 5},
    ],
)
def test_a_link_that_cannot_be_understood_has_ended_and_spoils_no_other(link: Any) -> None:
    document = {"x": 1, "github": {ALICE: link, BOB: {"access_token": "bobs"}, "eve": {}}}

    assert dict(links_of(document)) == {
        ("github", ALICE_ID): NONE,
        ("github", BOB_ID): Link(access_token=Secret("bobs")),
    }


def test_a_link_without_an_access_token_of_use_keeps_its_refresh_token() -> None:
    assert read({"access_token": 5, "refresh_token": "rt"}).refresh_token == Secret("rt")


@pytest.mark.parametrize(
    ("expires_at_ns", "is_expired"),
    [(None, False), (NOW_NS + 30 * S + 1, False), (NOW_NS + 30 * S, True), (NOW_NS, True)],
)
def test_a_token_that_ends_within_thirty_seconds_is_expired(
    expires_at_ns: int | None, *, is_expired: bool
) -> None:
    link = Link(access_token=Secret("at"), expires_at_ns=expires_at_ns)

    assert link.is_expired(NOW_NS) is is_expired


def test_a_change_of_one_link_leaves_everything_else_as_it_was() -> None:
    document: dict[str, Any] = {
        "": None,
        "github": {
            ALICE.upper(): {"access_token": "old", "broken": {"reason": "x"}, "note": [1]},
            "eve": 5,
            BOB: {"more": {}},
        },
        "gitlab": {ALICE: {"access_token": "other"}},
    }

    put_link(document, "github", ALICE_ID, Link(access_token=Secret("at")))

    assert document == {
        "": None,
        "github": {
            ALICE: {"access_token": "at", "scopes": [], "note": [1]},
            "eve": 5,
            BOB: {"more": {}},
        },
        "gitlab": {ALICE: {"access_token": "other"}},
    }


def test_a_server_whose_last_link_is_removed_goes_with_it() -> None:
    document = {"github": {ALICE: WRITTEN}, "gitlab": {BOB: {}}}

    put_link(document, "github", ALICE_ID, None)
    put_link(document, "gitlab", ALICE_ID, None)

    assert document == {"gitlab": {BOB: {}}}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not a JSON file: Expecting value: line 1 column 1 (char 0)"),
        (b'{"github": CANARY', "not a JSON file: Expecting value: line 1 column 12 (char 11)"),
        (b'["CANARY"]', "not a JSON object"),
        (b"[" * 100_000, "not a JSON file: nested too deeply"),
        (b"CANARY\xff", "not a JSON file: UnicodeDecodeError"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not a JSON file: ValueError"),
    ],
)
def test_a_file_of_another_form_is_told_without_what_is_in_it(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match="not a JSON") as caught:
        parse_document(data)

    assert str(caught.value) == problem


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda children: st.dictionaries(
        st.sampled_from([ALICE, BOB.upper(), "github", "access_token", "expires_at", "broken"]),
        children,
    ),
    max_leaves=8,
)
TEXTS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)
TIMES = st.none() | st.integers(0, 10**19).map(lambda ns: ns // 1000 * 1000)
LINKS = st.builds(
    Link,
    access_token=st.builds(Secret, TEXTS),
    refresh_token=st.none() | st.builds(Secret, TEXTS),
    expires_at_ns=TIMES,
    refresh_began_ns=TIMES,
    scopes=st.lists(TEXTS, max_size=2).map(tuple),
)


@settings(deadline=None)
@given(document=st.dictionaries(st.sampled_from(["github", "x"]), JSON), link=LINKS)
def test_what_is_put_into_any_file_is_found_in_it_and_others_stay(
    document: dict[str, Any], link: Link
) -> None:
    others = {key: value for key, value in links_of(document) if key != ("github", ALICE_ID)}

    put_link(document, "github", ALICE_ID, link)

    found = dict(links_of(json.loads(json.dumps(document))))
    assert found.pop(("github", ALICE_ID)) == link == find_link(document, "github", ALICE_ID)
    assert found == others


def test_no_repr_of_a_link_shows_its_tokens() -> None:
    link = Link(access_token=Secret("CANARY"), refresh_token=Secret("CANARY"))

    assert "CANARY" not in repr(link)
