"""``otelbridge keys``."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.commands.keys import expiry
from otelbridge.domain.access import authorise
from otelbridge.errors import UnauthenticatedError
from tests.commands.programs import run
from tests.commands.stores import STORE, Bridge
from tests.store.files import ALICE_KEY, KEYS, PEOPLE

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)
FORMS = (
    "is not a time from now, as 12h, 90d or 4w, or RFC 3339, as 2027-01-01T00:00:00Z, "
    "before the year 10000"
)


def created(bridge: Bridge, *arguments: str) -> str:
    """Return a key that is created for bob."""
    done = bridge.run("keys", "create", "--user", "bob", *arguments)
    assert done.exit_code == 0
    return done.stdout.removesuffix("\n")


def test_the_key_is_all_that_standard_output_has(tmp_path: Path) -> None:
    done = Bridge(tmp_path).run("keys", "create", "--user", "bob")

    assert re.fullmatch(r"[A-Za-z0-9]{10}-[A-Za-z0-9]{22}\n", done.stdout)
    assert done.stderr == (
        f'created key {done.stdout[:10]} of "bob"\nkeep the key: only its hash is stored\n'
    )


async def test_a_shell_can_keep_the_key(tmp_path: Path) -> None:
    await run("init", ".", folder=tmp_path)

    done = await run("keys", "create", "--user", "admin", folder=tmp_path)

    assert len(done.out) == 34
    assert "keep the key" in done.err


def test_the_key_is_accepted_and_only_its_hash_is_stored(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)

    key = created(bridge)

    found = authorise(bridge.snapshot, key, now_ns=2**62)
    assert (found.user.name, found.expires_at_ns) == ("bob", None)
    assert key.partition("-")[2] not in bridge.store.read_text()


def test_a_key_is_refused_when_it_has_expired(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)

    key = created(bridge, "--expires", "2099-01-01T01:00:00+01:00")

    ends_ns = int(datetime(2099, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    assert authorise(bridge.snapshot, key, now_ns=ends_ns - 1).expires_at_ns == ends_ns
    with pytest.raises(UnauthenticatedError, match="expired"):
        authorise(bridge.snapshot, key, now_ns=ends_ns)


def test_the_end_of_a_key_is_told(tmp_path: Path) -> None:
    done = Bridge(tmp_path).run("keys", "create", "--user", "bob", "--expires", "2099-01-01")

    assert done.stderr.splitlines()[0].endswith(", until 2099-01-01T00:00:00Z")


def test_who_creates_a_key_that_is_refused_is_told(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)
    bridge.run("users", "suspend", "bob")

    done = bridge.run("keys", "create", "--user", "bob")

    assert 'user "bob" is suspended: the key is refused until that changes\n' in done.stderr
    assert len(done.stdout) == 34


def test_a_revoked_key_is_unknown_and_all_else_stays(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)

    done = bridge.run("keys", "revoke", "aliceKey01")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == 'revoked key aliceKey01 of "alice"\n'
    assert bridge.store.read_text() == STORE.replace(KEYS, "\n")
    with pytest.raises(UnauthenticatedError, match="unknown key"):
        authorise(bridge.snapshot, ALICE_KEY, now_ns=0)


def test_keys_are_listed_without_their_hashes(tmp_path: Path) -> None:
    old = KEYS.replace("aliceKey01", "aliceKey00").replace("2099", "2001")
    bobs = KEYS.replace("aliceKey01", "bobsKey001").replace('"alice"', '"bob"')
    forever = re.sub("expires_at.*\n", "", KEYS.replace("aliceKey01", "aliceKey02"))
    bridge = Bridge(tmp_path, PEOPLE + KEYS.replace("2099", "2098") + old + bobs + forever)
    bridge.run("users", "suspend", "bob")

    done = bridge.run("keys", "list")

    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "id          user   status     expires at",
        "aliceKey01  alice  active     2098-01-01T00:00:00Z",
        "aliceKey00  alice  expired    2001-01-01T00:00:00Z",
        "bobsKey001  bob    suspended  2099-01-01T00:00:00Z",
        "aliceKey02  alice  active     -",
    ]


def test_keys_are_listed_for_programs(tmp_path: Path) -> None:
    text = PEOPLE + re.sub("expires_at.*\n", "", KEYS)
    text += KEYS.replace("aliceKey01", "aliceKey02").replace(
        "2099-01-01T00:00:00", "2098-01-01T00:00:00.25"
    )

    done = Bridge(tmp_path, text).run("keys", "list", "--json")

    assert json.loads(done.stdout) == [
        {"id": "aliceKey01", "user": "alice", "status": "active", "expires_at": None},
        {
            "id": "aliceKey02",
            "user": "alice",
            "status": "active",
            "expires_at": "2098-01-01T00:00:00.250000Z",
        },
    ]


def test_a_list_of_no_keys_says_so_beside_the_list(tmp_path: Path) -> None:
    done = Bridge(tmp_path, PEOPLE).run("keys", "list")

    assert (done.stdout, done.stderr) == ("", "no keys\n")


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("1h", NOW + timedelta(hours=1)),
        ("90d", NOW + timedelta(days=90)),
        ("4w", NOW + timedelta(days=28)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2027-01-01T00:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01t00:00:00.9z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01 00:00:00-02:30", datetime(2027, 1, 1, 2, 30, tzinfo=UTC)),
    ],
)
def test_a_time_may_be_given_in_every_form(text: str, ends: datetime) -> None:
    assert expiry(text, NOW) == ends.replace(microsecond=0)
    assert expiry(text, NOW).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90",
        "d",
        "-1d",
        "1.5d",
        "90 d",
        "9m",
        "९d",
        "tomorrow",
        "2027-02-30",
        "2027-01-01T00:00:00",
        "2027-01-01T25:00:00Z",
        "20270101",
        "2027-W01-1",
        "999999999w",
        "9999-12-31T23:59:59-01:00",
        "2027-01-01T00:00:00Z\n",
    ],
)
def test_what_is_no_time_is_told_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole text is compared
        expiry(text, NOW)

    shown = text.replace("\n", r"\x0a")
    assert str(caught.value) == f'"{shown}" {FORMS}'


@pytest.mark.parametrize(
    "text", ["0d", "2026-11-22", "2026-11-22T12:00:00.9Z", "1999-01-01T00:00:00Z"]
)
def test_a_time_that_has_passed_is_told_with_the_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not in the future") as caught:
        expiry(text, NOW)

    assert str(caught.value) == (
        f'"{text}" is not in the future: it is 2026-11-22T12:00:00.500000Z'
    )


def test_a_key_does_not_end_as_it_is_created() -> None:
    with pytest.raises(ValueError, match="is not in the future"):
        expiry("0h", NOW.replace(microsecond=0))


def test_a_wrong_time_is_wrong_usage_and_creates_nothing(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)

    done = bridge.run("keys", "create", "--user", "bob", "--expires", "soon")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: Invalid value for '--expires': \"soon\" {FORMS}"
    assert bridge.store.read_text() == STORE


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", "--user", "eve"), 'no user has the name "eve"'),
        (("revoke", "nobodysKey"), 'no key has the id "nobodysKey"'),
        (
            ("revoke", ALICE_KEY),
            "key.id: value of 33 characters is not a key id, which has 10 of A-Z, a-z, 0-9",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    assert Bridge(tmp_path).refusal("keys", *arguments) == f"Error: {told}\n"


@pytest.mark.parametrize("arguments", [[], ["create"], ["revoke"], ["list", "x"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, ["keys", *arguments])

    assert (done.exit_code, done.stdout) == (2, "")
