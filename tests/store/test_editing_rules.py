"""Edits of a store: what may be done, what goes with it, and what is told."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from otelbridge.domain.access import Status
from otelbridge.errors import StoreError
from tests.store.edits import ALICES, BOBS, CAROL, GATEWAY_KEY, HASH, KEY, Edited
from tests.store.files import ALICE, GATEWAY, KEYS, PEOPLE


def problem(text: str, edit: str, *values: object) -> str:
    """Return what is told of an edit that cannot be made, and changes nothing."""
    store = Edited(text)
    with pytest.raises(StoreError) as caught:
        getattr(store.edit, edit)(*values)
    assert store.text == text
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


def tight(text: str) -> str:
    """Return a text without the spaces around braces: tomlkit is free with them."""
    return re.sub(" *([{}]) *", r"\1", text)


@pytest.mark.parametrize("status", ["deleted", "system"])
def test_who_was_deleted_or_is_no_person_keeps_the_status(status: str) -> None:
    text = f'{ALICES}status = "{status}"\n'

    told = problem(text, "set_status", "alice", Status.ACTIVE)

    assert told == (
        f'user "alice" is {status}: only an active, suspended or dormant user can become active'
    )


# Users' belongings.

AUTH = '[mcp_server.auth]\nkind = "static"\n'
TOKENS = """
[[mcp_server]]
id = "docs"
url = "https://docs.example.com"
"""


def test_a_user_goes_with_keys_and_budget_and_that_is_told() -> None:
    budget = '[[budget]]\nuser = "{}"\nlimit_usd = "1"\nperiod = "day"\n'
    bobs_key = '[[key]]\nid = "bobsKey001"\nuser = "bob"\n' + f'secret_sha256 = "{HASH}"\n'
    stays = f"{BOBS}\n{bobs_key}\n{budget.format('*')}"
    text = f"{ALICES}\n{stays}\n{budget.format('alice')}{KEYS}"
    text += KEYS.replace("aliceKey01", "aliceKey02")
    store = Edited(text)

    removed = store.edit.remove_user("alice")

    assert (removed.keys, removed.budgets, removed.servers) == (("aliceKey01", "aliceKey02"), 1, ())
    assert store.text == stays


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'auth = { kind = "static", tokens = { alice = "a", bob = "b" } } # c\n',
            'auth = { kind = "static", tokens = { bob = "b" } } # c\n',
        ),
        (
            'auth = { kind = "static", token = "t", tokens = { alice = "a" } }\n',
            'auth = { kind = "static", token = "t", tokens = {} }\n',
        ),
        (
            AUTH + '# c\ntokens = { bob = "b", alice = "a" } # d\n',
            AUTH + '# c\ntokens = { bob = "b" } # d\n',
        ),
        (
            AUTH + 'tokens.alice.env = "A"\n# c\ntokens.bob = "b"\n',
            AUTH + '# c\ntokens.bob = "b"\n',
        ),
        (
            AUTH + 'token = "t"\ntokens.alice.env = "A"\n# c\n',
            AUTH + 'token = "t"\n# c\n',
        ),
        (
            (AUTH + '[mcp_server.auth.tokens]\n"alice" = "a" # a\nbob = "b" # b\n'),
            AUTH + '[mcp_server.auth.tokens]\nbob = "b" # b\n',
        ),
        (
            (
                AUTH + '\n[mcp_server.auth.tokens.alice]\nenv = "A"\n\n'
                '# bob\n[mcp_server.auth.tokens.bob]\nenv = "B"\n'
            ),
            (AUTH + '\n# bob\n[mcp_server.auth.tokens.bob]\nenv = "B"\n'),
        ),
        (
            (AUTH + 'token = "t"\n\n[mcp_server.auth.tokens.alice]\nenv = "A"\n'),
            AUTH + 'token = "t"\n',
        ),
    ],
)
def test_a_user_goes_with_static_tokens_however_they_are_written(before: str, after: str) -> None:
    store = Edited(f"{BOBS}\n{ALICES}{TOKENS}{before}")

    removed = store.edit.remove_user("alice")

    assert removed.servers == ("docs",)
    assert tight(store.text) == tight(f"{BOBS}{TOKENS}{after}")


def test_a_user_with_a_server_s_only_token_stays() -> None:
    text = f'{ALICES}{TOKENS}auth = {{ kind = "static", tokens = {{ alice = "CANARY" }} }}\n'

    told = problem(text, "remove_user", "alice")

    assert told == (
        'MCP server "docs" has no other token than that of "alice": give it one, or remove it, '
        "first; until then `otelbridge users suspend` ends the user's access"
    )


# Keys and gateways.


def test_a_key_is_stored_as_a_hash_with_its_end() -> None:
    store = Edited(ALICES)

    store.edit.add_key("alice", KEY, expires_at=datetime(2027, 1, 1, tzinfo=UTC))

    assert store.text == (
        f'{ALICES}\n[[key]]\nid = "carolKey01"\nuser = "alice"\n'
        f'secret_sha256 = "{HASH}"\nexpires_at = 2027-01-01T00:00:00Z\n'
    )


def test_a_key_goes_and_its_user_is_told() -> None:
    store = Edited(PEOPLE + KEYS)

    assert store.edit.remove_key("aliceKey01") == "alice"
    assert store.text == PEOPLE


def test_a_gateway_comes_and_goes() -> None:
    store = Edited(GATEWAY)

    store.edit.add_gateway("eu-2", GATEWAY_KEY)
    store.edit.remove_gateway("eu-1")

    assert store.text.lstrip() == f'[[gateway]]\nname = "eu-2"\nkey_sha256 = "{HASH}"\n'


LABEL = "is not allowed: 1 to 64 printable characters, no space at the ends"


@pytest.mark.parametrize(
    ("edit", "values", "told"),
    [
        ("add_user", ("alice", CAROL), 'user.name: "alice" is used already'),
        ("add_user", ("carol", ALICE.upper()), f'user.id: "{ALICE.upper()}" is used already'),
        ("add_user", ("carol", "7"), 'user.id: "7" is not a UUID'),
        ("add_user", ("", CAROL), f'user.name: "" {LABEL}'),
        ("add_user", ("x" * 65, CAROL), f'user.name: "{"x" * 64}" {LABEL}'),
        ("add_user", ("a\x07", CAROL), rf'user.name: "a\x07" {LABEL}'),
        ("add_user", ("\udcff", CAROL), rf'user.name: "\udcff" {LABEL}'),
        ("add_user", ("*", CAROL), 'user.name: "*" means everybody and cannot be a name'),
        ("set_status", ("eve", Status.ACTIVE), 'no user has the name "eve"'),
        ("remove_user", ("e\nve",), r'no user has the name "e\x0ave"'),
        ("add_key", ("eve", KEY), 'no user has the name "eve"'),
        ("remove_key", ("nobodysKey",), 'no key has the id "nobodysKey"'),
        ("add_gateway", ("eu-1", GATEWAY_KEY), 'gateway.name: "eu-1" is used already'),
        ("add_gateway", (" eu", GATEWAY_KEY), f'gateway.name: " eu" {LABEL}'),
        ("remove_gateway", ("eu-2",), 'no gateway has the name "eu-2"'),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    edit: str, values: tuple[object, ...], told: str
) -> None:
    assert problem(PEOPLE + KEYS + GATEWAY, edit, *values) == told


def test_a_whole_key_in_place_of_its_id_is_not_repeated() -> None:
    told = problem(PEOPLE + KEYS, "remove_key", "aliceKey01-CANARY")

    assert told == ("key.id: value of 17 characters is not a key id, which has 10 of A-Z, a-z, 0-9")
