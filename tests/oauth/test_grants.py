"""What a token endpoint's answer means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.domain.access import Secret
from otelbridge.errors import OAuthError
from otelbridge.oauth.grants import read_tokens
from otelbridge.oauth.http import Answer
from otelbridge.store.tokens import Link
from tests.oauth.world import NOW_NS, S

URL = "https://login.example.com/token"
TEN_YEARS_S = 10 * 365 * 86400
OLD = Link(access_token=Secret("old"), refresh_token=Secret("rt"), scopes=("a",))


def read(text: str, old: Link | None = None) -> Link:
    return read_tokens(Answer(200, {}, text.encode(), URL), now_ns=NOW_NS, old=old)


@pytest.mark.parametrize(
    ("expires_in", "life_s"),
    [
        ("3600", 3600),
        ('"3600"', 3600),
        ("3599.5", 3599.5),
        ('"1e3"', 1000),
        ("1e400", TEN_YEARS_S),
        ("99999999999999999999", TEN_YEARS_S),
        ("Infinity", TEN_YEARS_S),
        ("NaN", None),
        ("0", None),
        ("-1", None),
        ("-1e400", None),
        ("true", None),
        ("null", None),
        ('"soon"', None),
        ("[3600]", None),
        ("{}", None),
    ],
)
def test_a_life_is_a_number_of_seconds_whatever_its_form(
    expires_in: str, life_s: float | None
) -> None:
    link = read(f'{{"access_token": "at", "expires_in": {expires_in}}}')

    assert link.expires_at_ns == (None if life_s is None else NOW_NS + int(life_s * S))


def test_what_an_answer_leaves_out_stays_as_it_was() -> None:
    assert read('{"access_token": "at"}', OLD) == Link(
        access_token=Secret("at"), refresh_token=Secret("rt"), scopes=("a",)
    )
    assert read('{"access_token": "at"}') == Link(access_token=Secret("at"))


def test_what_an_answer_says_takes_its_place() -> None:
    text = '{"access_token": "at", "refresh_token": "new", "scope": "b c", "token_type": "BEARER"}'

    assert read(text, OLD) == Link(
        access_token=Secret("at"), refresh_token=Secret("new"), scopes=("b", "c")
    )


@pytest.mark.parametrize("refresh_token", ["", "two\nlines", 5, None])
def test_a_refresh_token_of_no_use_does_not_replace_one(refresh_token: object) -> None:
    text = json.dumps({"access_token": "at", "refresh_token": refresh_token})

    assert read(text, OLD).refresh_token == Secret("rt")


@pytest.mark.parametrize("access_token", ["", "two\nlines", "naïve", 5, None, ["at"]])
def test_an_access_token_of_no_use_is_none(access_token: object) -> None:
    with pytest.raises(OAuthError) as caught:
        read(json.dumps({"access_token": access_token}))

    assert str(caught.value) == f"{URL}: the answer has no access_token"
    assert not caught.value.is_permanent


@pytest.mark.parametrize("token_type", ["DPoP", "mac", "PoP"])
def test_a_token_that_is_bound_to_a_key_is_of_no_use(token_type: str) -> None:
    with pytest.raises(OAuthError, match=f"token_type is {token_type}, Bearer is needed"):
        read(f'{{"access_token": "at", "token_type": "{token_type}"}}')


ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    data=st.dictionaries(
        st.sampled_from(["access_token", "refresh_token", "expires_in", "scope", "error"]), ANY_JSON
    ),
    status=st.sampled_from([200, 400, 500]),
)
def test_any_answer_is_tokens_or_an_error(data: dict[str, Any], status: int) -> None:
    answer = Answer(status, {}, json.dumps(data).encode(), URL)

    try:
        link, problem = read_tokens(answer, now_ns=NOW_NS), "-"
    except OAuthError as error:
        link, problem = OLD, str(error)

    assert link.access_token.reveal()
    assert link.expires_at_ns is None or link.expires_at_ns >= NOW_NS
    assert 0 < len(problem) <= 400
