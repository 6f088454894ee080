"""Edits of a store's text: what is asked for changes, and nothing else does."""

from __future__ import annotations

import pytest

from otelbridge.domain.access import Status
from otelbridge.errors import StoreError
from otelbridge.store.editing.text import StoreText
from tests.store.edits import ALICES, BOBS, CAROL, CAROLS, KEY, Edited
from tests.store.files import ALICE, BOB, GATEWAY, KEYS, PEOPLE


def after_adding_carol(text: str) -> str:
    store = Edited(text)
    store.edit.add_user("carol", CAROL)
    return store.text


def after_removing(text: str, name: str = "alice") -> str:
    store = Edited(text)
    store.edit.remove_user(name)
    return store.text


# Adding a table.


def test_a_table_comes_below_the_last_of_its_kind_and_above_what_leads_to_the_next() -> None:
    text = f"# People.\n{ALICES}\n# Their keys.\n{KEYS.lstrip()}"

    assert after_adding_carol(text) == (
        f"# People.\n{ALICES}\n{CAROLS}\n# Their keys.\n{KEYS.lstrip()}"
    )


def test_a_table_comes_below_the_last_of_its_kind_where_others_are_in_between() -> None:
    text = f"{ALICES}\n# alice's\n{KEYS.lstrip()}\n{BOBS}\n# eu\n{GATEWAY.lstrip()}"

    assert after_adding_carol(text) == (
        f"{ALICES}\n# alice's\n{KEYS.lstrip()}\n{BOBS}\n{CAROLS}\n# eu\n{GATEWAY.lstrip()}"
    )


def test_comments_right_below_a_table_stay_with_it() -> None:
    text = f'{ALICES}#status = "active"\n\n# Gateways\n{GATEWAY.lstrip()}'

    assert after_adding_carol(text) == (
        f'{ALICES}#status = "active"\n\n{CAROLS}\n# Gateways\n{GATEWAY.lstrip()}'
    )


def test_comments_right_above_a_table_stay_with_it() -> None:
    text = f"{ALICES}# Gateways\n{GATEWAY.lstrip()}"

    assert after_adding_carol(text) == (f"{ALICES}\n{CAROLS}\n# Gateways\n{GATEWAY.lstrip()}")


@pytest.mark.parametrize(
    "end", ["", "\n", "\n\n", "# the end", "\n# the end\n", "\n# a\n\n# b\n\n"]
)
def test_a_first_table_of_its_kind_comes_at_the_end(end: str) -> None:
    text = GATEWAY.strip() + end

    after = after_adding_carol(text)

    assert after.startswith(text)
    assert after.endswith(f"\n\n{CAROLS}")
    assert "\n\n\n" not in after.removeprefix(text)


def test_a_table_comes_below_a_last_line_that_has_no_end() -> None:
    assert after_adding_carol(ALICES.rstrip()) == f"{ALICES}\n{CAROLS}"


def test_lines_end_as_those_of_the_file_do() -> None:
    text = f"# People.\n{ALICES}\n# end\n".replace("\n", "\r\n")

    assert after_adding_carol(text) == (
        f"# People.\n{ALICES}\n{CAROLS}\n# end\n".replace("\n", "\r\n")
    )


def test_a_line_of_a_longer_text_is_no_header_and_no_comment() -> None:
    server = (
        '[[mcp_server]]\nid = "a"\nurl = "https://a"\ntool_allow_regex = """\\\n[[user]]\n#"""\n'
    )

    after = after_adding_carol(f"{ALICES}\n{server}")

    assert after == f"{ALICES}\n{CAROLS}\n{server}"


def test_a_line_of_an_array_is_no_header() -> None:
    client = '[[mcp_server]]\nid = "a"\nurl = "https://a"\n[mcp_server.auth]\nscopes = [\n"a",\n'
    client += '[\n"b"\n]\n]\n'

    after = after_adding_carol(f"{client}\n{ALICES}")

    assert after == f"{client}\n{ALICES}\n{CAROLS}"


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ("[]", '[{id = "I", name = "carol", status = "active"}]'),
        ("[ ] # none", '[{id = "I", name = "carol", status = "active"} ] # none'),
        (
            '[{ id = "A", name = "alice" }]',
            '[{ id = "A", name = "alice" }, {id = "I", name = "carol", status = "active"}]',
        ),
        (
            '[\n    { id = "A", name = "alice" }, # a\n    # b\n]',
            (
                '[\n    { id = "A", name = "alice" }, # a\n    # b\n'
                '    {id = "I", name = "carol", status = "active"},\n]'
            ),
        ),
        (
            '[\n  # first\n  { id = "A", name = "alice" } # no comma\n  # last\n] # all',
            (
                '[\n  # first\n  { id = "A", name = "alice" }, # no comma\n  # last\n'
                '  {id = "I", name = "carol", status = "active"},\n] # all'
            ),
        ),
        ("[\n]", '[\n  {id = "I", name = "carol", status = "active"},\n]'),
        (
            "[\n  # nobody\n]",
            '[\n  # nobody\n  {id = "I", name = "carol", status = "active"},\n]',
        ),
    ],
)
def test_a_row_is_added_to_an_array_that_is_written_as_a_value(array: str, expected: str) -> None:
    before = f"# People.\nuser = {array}\n\n# Others.\ngateway = []\n".replace("A", ALICE)
    after = f"# People.\nuser = {expected}\n\n# Others.\ngateway = []\n".replace("A", ALICE)

    assert after_adding_carol(before) == after.replace('"I"', f'"{CAROL}"')


def test_rows_of_a_file_with_crlf_get_them_too() -> None:
    text = f'user = [\n  {{ id = "{ALICE}", name = "alice" }}\n]\n'.replace("\n", "\r\n")

    after = after_adding_carol(text)

    assert after.count("\r\n") == after.count("\n") == 4


# Removing a table.


def test_a_table_goes_with_its_comments_and_those_around_it_stay() -> None:
    text = f"""\
# People.

# The first.
[[user]]                # alice
id = "{ALICE}"          # a
# hers
name = "alice"
#status = "active"

# The second.
{BOBS}"""

    after = after_removing(text)

    assert after == f"# People.\n\n# The first.\n\n# The second.\n{BOBS}"


def test_the_last_table_goes_with_the_empty_line_above_it() -> None:
    assert after_removing(f"{ALICES}\n{BOBS}", "bob") == ALICES


def test_the_first_table_goes_with_the_empty_line_below_it() -> None:
    assert after_removing(f"{ALICES}\n{BOBS}") == BOBS


def test_a_table_goes_with_one_of_two_empty_lines() -> None:
    text = f"{BOBS}\n{ALICES}\n{GATEWAY.lstrip()}"

    assert after_removing(text) == f"{BOBS}\n{GATEWAY.lstrip()}"


def test_comments_above_the_next_table_stay_where_no_line_is_empty() -> None:
    assert after_removing(f"# a\n{ALICES}# b\n{BOBS}# c") == f"# a\n# b\n{BOBS}# c"


def test_what_was_added_and_removed_leaves_nothing() -> None:
    text = f"# People.\n{ALICES}\n# Keys.\n{KEYS.lstrip()}\n# end\n"
    store = Edited(text)

    store.edit.add_user("carol", CAROL)
    store.edit.add_key("carol", KEY)
    store.edit.remove_user("carol")

    assert store.text == text


def test_a_row_of_an_array_that_is_written_as_a_value_goes() -> None:
    rows = f'  {{ id = "{ALICE}", name = "alice" }}, # a\n  {{ id = "{BOB}", name = "bob" }}, # b\n'

    after = after_removing(f"user = [\n{rows}] # all\ngateway = []\n")

    assert after == f'user = [\n  {{ id = "{BOB}", name = "bob" }}, # b\n] # all\ngateway = []\n'


# Changing a table.


def test_a_value_changes_and_its_comment_stays() -> None:
    store = Edited(f'{ALICES}status = "active"   # a | s\n\n# Bob.\n{BOBS}')

    assert store.edit.set_status("alice", Status.SUSPENDED)

    assert store.text == f'{ALICES}status = "suspended"   # a | s\n\n# Bob.\n{BOBS}'


def test_a_key_that_is_not_there_comes_below_the_others() -> None:
    store = Edited(f"{ALICES}#nick\n\n# Bob.\n{BOBS}")

    store.edit.set_status("alice", Status.SUSPENDED)

    assert store.text == f'{ALICES}status = "suspended"\n#nick\n\n# Bob.\n{BOBS}'


def test_a_key_comes_below_a_last_line_that_has_no_end() -> None:
    store = Edited(f"{ALICES}\n{BOBS}".rstrip())

    store.edit.set_status("bob", Status.SUSPENDED)

    assert store.text == f'{ALICES}\n{BOBS}status = "suspended"\n'


def test_a_row_of_an_array_that_is_written_as_a_value_changes() -> None:
    store = Edited(f'user = [{{ id = "{ALICE}", name = "alice" }}] # all\n')

    store.edit.set_status("alice", Status.DORMANT)

    assert store.text == (
        f'user = [{{ id = "{ALICE}", name = "alice", status = "dormant"}}] # all\n'
    )


def test_what_is_so_already_changes_nothing() -> None:
    store = Edited(PEOPLE)

    assert not store.edit.set_status("alice", Status.ACTIVE)
    assert store.text == PEOPLE


def test_a_text_that_would_say_anything_else_is_not_given_out() -> None:
    text = StoreText(PEOPLE)
    text.rows("user")[0]["name"] = "mallory"

    with pytest.raises(StoreError, match="too unusual for this edit: make it by hand"):
        text.render()
