"""``tokens.json``: shared by threads and processes, whole at every instant."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbridge.domain.access import Secret
from otelbridge.errors import StoreError
from otelbridge.store.token_file import TokenFile
from otelbridge.store.tokens import Link
from tests.store.files import ALICE, BOB, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

ALICE_ID = UUID(ALICE)
BOB_ID = UUID(BOB)
LINK = Link(access_token=Secret("at"), refresh_token=Secret("rt"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def put(path: Path, link: Link | None = LINK, *, user_id: UUID = ALICE_ID) -> Link | None:
    return TokenFile(path).update("github", user_id, lambda _: link)


def test_a_file_that_is_not_there_has_no_links(path: Path) -> None:
    assert TokenFile(path).read() == {}


def test_a_change_is_there_for_every_other_reader(path: Path) -> None:
    file, other = TokenFile(path), TokenFile(path)
    assert other.read() == {}

    answer = file.update("github", ALICE_ID, lambda _: LINK)

    assert answer == LINK
    assert file.read() == other.read() == {("github", ALICE_ID): LINK}


def test_a_change_is_given_what_is_there(path: Path) -> None:
    seen: list[Link | None] = []

    def note(link: Link | None) -> Link | None:
        seen.append(link)
        return LINK if link is None else None

    for _ in range(3):
        TokenFile(path).update("github", ALICE_ID, note)

    assert seen == [None, LINK, None]


def test_a_change_that_changes_nothing_writes_nothing(path: Path) -> None:
    put(path)
    before = path.stat()

    put(path)
    TokenFile(path).update("github", BOB_ID, lambda link: link)

    assert path.stat() == before


def test_a_change_that_fails_changes_nothing(path: Path) -> None:
    put(path)

    def fail(_: Link | None) -> Link | None:
        raise KeyError

    with pytest.raises(KeyError):
        TokenFile(path).update("github", ALICE_ID, fail)

    put(path, user_id=BOB_ID)  # and the lock was released
    assert set(TokenFile(path).read()) == {("github", ALICE_ID), ("github", BOB_ID)}


def test_what_is_written_is_for_its_owner_alone(path: Path) -> None:
    old_mask = os.umask(0)
    try:
        put(path)
    finally:
        os.umask(old_mask)

    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert modes == {"tokens.json": 0o600, "tokens.json.lock": 0o600}


def test_what_a_killed_process_left_is_replaced(path: Path) -> None:
    left = path.with_name("tokens.json.tmp")
    left.write_text("CANARY")
    left.chmod(0o644)

    put(path)

    assert not left.exists()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    path = tmp_path / "tokens.json"
    path.symlink_to("volume/tokens.json")

    put(path)

    assert path.is_symlink()
    assert TokenFile(tmp_path / "volume" / "tokens.json").read() == {("github", ALICE_ID): LINK}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_writes_belongs_to_who_owns_the_directory(path: Path) -> None:
    os.chown(path.parent, 12345, 12345)

    put(path)

    assert {each.stat().st_uid for each in path.parent.iterdir()} == {12345}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a JSON file: Expecting value: line 1 column 1 (char 0)"),
        ('["CANARY"]', "not a JSON object"),
    ],
)
def test_a_file_of_another_form_is_told_and_never_written_over(
    path: Path, text: str, problem: str
) -> None:
    write_tokens(path.parent, text)

    for attempt in (TokenFile(path).read, lambda: put(path)):
        with pytest.raises(StoreError) as caught:
            attempt()
        assert caught.value.problems == [f"tokens.json: {problem}"]

    assert path.read_text() == text


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_tokens_that_others_may_read_are_refused(path: Path, mode: int) -> None:
    write_tokens(path.parent, {}, mode=mode)

    for attempt in (TokenFile(path).read, lambda: put(path)):
        with pytest.raises(StoreError, match=rf"\Atokens\.json: mode {mode:04o} is open to others"):
            attempt()


def test_a_link_that_leads_nowhere_is_told(path: Path) -> None:
    path.symlink_to(path.parent / "gone" / "tokens.json")

    with pytest.raises(StoreError, match=r"\Atokens\.json: no such file or directory"):
        TokenFile(path).read()


def test_a_directory_that_cannot_be_written_is_told(path: Path) -> None:
    put(path)
    path.with_name("tokens.json.tmp").mkdir()

    with pytest.raises(StoreError, match=r"\Atokens\.json: cannot be written: "):
        put(path, None)

    assert TokenFile(path).read() == {("github", ALICE_ID): LINK}


def test_a_lock_that_another_one_holds_is_waited_for_and_then_told(path: Path) -> None:
    with (
        FileLock(path.with_name("tokens.json.lock")),
        pytest.raises(StoreError, match=r"\Atokens\.json: locked by another process for 0\.1 s"),
    ):
        TokenFile(path, lock_timeout_s=0.1).update("github", ALICE_ID, lambda _: LINK)

    put(path)


def test_changes_of_many_threads_and_files_are_all_there(path: Path) -> None:
    shared = TokenFile(path)
    files = [shared, shared, TokenFile(path), TokenFile(path)]
    begin = threading.Barrier(len(files))

    def change(number: int) -> None:
        begin.wait()
        for each in range(10):
            files[number].update("github", UUID(int=100 * number + each + 1), lambda _: LINK)

    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(change, range(len(files))))

    assert len(TokenFile(path).read()) == 40


def test_a_file_that_did_not_change_is_not_parsed_again(path: Path) -> None:
    put(path)
    long_ago = 1_000_000_000
    os.utime(path, (long_ago, long_ago))
    file = TokenFile(path)

    assert file.read() == TokenFile(path).read()


def test_what_replaces_a_file_within_a_tick_of_the_clock_is_seen(path: Path) -> None:
    file = TokenFile(path)

    for number in range(200):
        link = replace(LINK, access_token=Secret(f"{number:03}"))
        other = {"github": {ALICE: {"access_token": f"{number:03}", "refresh_token": "rt"}}}
        write_tokens(path.parent, other)  # in place: the same file, of the same size
        assert file.read() == {("github", ALICE_ID): link}


async def test_only_one_refreshes_a_link_at_a_time(path: Path) -> None:
    order: list[str] = []
    inside = asyncio.Event()

    async def refresh(name: str) -> None:
        async with TokenFile(path).refreshing("github", ALICE_ID, timeout_s=10):
            order.append(f"{name} in")
            inside.set()
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(*(refresh(name) for name in "abc"))

    assert [step.split()[1] for step in order] == ["in", "out"] * 3


async def test_other_links_are_refreshed_meanwhile(path: Path) -> None:
    file = TokenFile(path)

    async with (
        file.refreshing("github", ALICE_ID, timeout_s=1),
        file.refreshing("github", BOB_ID, timeout_s=1),
        file.refreshing("gitlab", ALICE_ID, timeout_s=1),
    ):
        with pytest.raises(
            StoreError, match=r"\Atokens\.json: another process refreshes for 0\.1 s"
        ):
            async with TokenFile(path).refreshing("gitlab", ALICE_ID, timeout_s=0.1):
                pass


async def test_locks_that_cannot_be_kept_are_told(path: Path) -> None:
    path.with_name("tokens.json.locks").write_text("")

    with pytest.raises(StoreError, match=r"\Atokens\.json: locks cannot be kept: "):
        async with TokenFile(path).refreshing("github", ALICE_ID, timeout_s=1):
            pass


@given(data=st.binary(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_links_or_told(path: Path, data: bytes) -> None:
    write_tokens(path.parent, "")
    path.write_bytes(data)

    try:
        TokenFile(path).read()
        problems = []
    except StoreError as error:
        problems = error.problems

    assert all(problem.startswith("tokens.json: ") for problem in problems)


def test_the_file_is_json_that_others_can_read(path: Path) -> None:
    put(path)

    assert json.loads(path.read_text()) == {
        "github": {ALICE: {"access_token": "at", "refresh_token": "rt", "scopes": []}}
    }
