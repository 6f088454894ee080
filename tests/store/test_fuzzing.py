"""Any file is a snapshot or a clear StoreError, and never another exception."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbridge.domain.access import Snapshot
from otelbridge.errors import StoreError
from otelbridge.store import load_store
from tests.store.files import GATEWAY, KEYS, OAUTH2, PEOPLE, write_store

if TYPE_CHECKING:
    from pathlib import Path

VALID = (
    GATEWAY
    + PEOPLE
    + KEYS
    + OAUTH2
    + """
[[mcp_server]]
id = "docs"
url = "https://docs.example.com/mcp"
auth = { kind = "static", token = "t", tokens = { alice = { file = "token" } } }

[[provider]]
name = "anthropic"
type = "anthropic"
enabled = true
base_url = "https://api.anthropic.com/"
keys = [{ env = "KEY" }]
bedrock = { region = "eu", access_key = "a", access_key_secret = "b" }

[[budget]]
user = "*"
limit_usd = "50.00"
period = "month"
"""
)
ENVIRON = {"KEY": "value"}
# A tmp_path is shared by the examples of a test; each writes its whole file.
fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
scalars = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["*", "alice", "oauth2", "https://a", "http://[", "(", "\x00", "0" * 64]),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.just(date(2027, 1, 1)),
    st.just(time(1, 2, 3)),
    st.just(datetime(1, 1, 1, tzinfo=UTC)),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(["env", "file"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def outcome(path: Path) -> Snapshot | list[str]:
    try:
        return load_store(path, ENVIRON)
    except StoreError as error:
        return error.problems


def check(path: Path) -> None:
    result = outcome(path)

    assert isinstance(result, Snapshot) or result
    for problem in result if isinstance(result, list) else ():
        assert problem.startswith("store.toml: ")
        assert problem.isprintable()
        assert "Traceback" not in problem


@given(data=st.binary(max_size=200))
@fuzzed
def test_any_bytes_are_told_what_is_wrong_with_them(tmp_path: Path, data: bytes) -> None:
    path = write_store(tmp_path, "")
    path.write_bytes(data)

    check(path)


@given(length=st.integers(0, len(VALID)))
@fuzzed
def test_a_file_cut_anywhere_is_valid_as_it_is_or_told(tmp_path: Path, length: int) -> None:
    (tmp_path / "token").write_text("t")

    check(write_store(tmp_path, VALID[:length]))


@given(at=st.integers(0, len(VALID)), length=st.integers(0, 5), new=st.text(max_size=5))
@fuzzed
def test_any_edit_gives_a_snapshot_or_is_told(
    tmp_path: Path, at: int, length: int, new: str
) -> None:
    (tmp_path / "token").write_text("t")
    path = write_store(tmp_path, "")
    path.write_bytes((VALID[:at] + new + VALID[at + length :]).encode())

    check(path)


def leaves(value: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in items:
        found.append((*way, key))
        if isinstance(inner, dict | list):
            found += leaves(inner, (*way, key))
    return found


LEAVES = leaves(tomlkit.parse(VALID).unwrap())


@given(way=st.sampled_from(LEAVES), value=values)
@fuzzed
def test_any_value_in_any_place_gives_a_snapshot_or_is_told(
    tmp_path: Path, way: tuple[str | int, ...], value: object
) -> None:
    (tmp_path / "token").write_text("t")
    document: Any = tomlkit.parse(VALID).unwrap()
    target = document
    for step in way[:-1]:
        target = target[step]
    target[way[-1]] = value
    path = write_store(tmp_path, "")
    path.write_bytes(tomlkit.dumps(document).encode())

    check(path)


def test_what_is_fuzzed_is_valid(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")

    assert isinstance(outcome(write_store(tmp_path, VALID)), Snapshot)


# Python refuses to turn integers of more than 4,300 digits into text, or back.
@pytest.mark.parametrize("number", ["1" * 5000, "0x" + "f" * 5000, "1e" + "9" * 30, "-nan"])
@pytest.mark.parametrize("place", ['limit_usd = "50.00"', 'name = "alice"', "enabled = true"])
def test_a_number_of_any_size_is_told(tmp_path: Path, number: str, place: str) -> None:
    (tmp_path / "token").write_text("t")
    key = place.partition(" = ")[0]
    path = write_store(tmp_path, VALID.replace(place, f"{key} = {number}", 1))

    assert not isinstance(outcome(path), Snapshot)
    check(path)
