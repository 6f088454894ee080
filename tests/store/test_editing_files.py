"""Edits of a store's file: taken in whole or not at all, one after the other."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from otelbridge.domain.access import Status
from otelbridge.errors import StoreError
from otelbridge.store import load_store
from otelbridge.store.editing import edit_store, view_store
from otelbridge.store.loading import MAX_BYTES
from tests.store.edits import CAROL, KEY
from tests.store.files import GATEWAY, KEYS, PEOPLE, PROVIDER, write_store

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = PEOPLE + PROVIDER + 'keys = [{ env = "NOT_SET_HERE" }, { file = "secret" }]\n'
# Adds users, each in an edit of its own.
ADDER = """
import sys
from pathlib import Path
from uuid import uuid4
from otelbridge.store.editing import edit_store

for number in range(5):
    with edit_store(Path("store.toml"), timeout_s=50) as store:
        store.add_user(f"{sys.argv[1]}-{number}", str(uuid4()))
"""


def add_carol(path: Path, *, timeout_s: float = 10.0) -> None:
    with edit_store(path, timeout_s=timeout_s) as store:
        store.add_user("carol", CAROL)


def names(path: Path) -> list[str]:
    return [user.name for user in view_store(path).users.values()]


def problems(path: Path) -> list[str]:
    """Return what is told of an edit that leaves a file as it was."""
    before = path.read_bytes(), path.stat()
    with pytest.raises(StoreError) as caught:
        add_carol(path, timeout_s=0.05)
    after = path.stat()
    assert (path.read_bytes(), after.st_ino, after.st_mode) == (
        before[0],
        before[1].st_ino,
        before[1].st_mode,
    )
    assert not path.with_name("store.toml.tmp").exists()
    return caught.value.problems


def test_what_is_loaded_after_an_edit_is_the_edit(tmp_path: Path) -> None:
    path = write_store(tmp_path, f"# people\n{PEOPLE}# keys\n{KEYS}")

    with edit_store(path) as store:
        store.add_user("carol", CAROL)
        store.add_key("carol", KEY)
        store.set_status("alice", Status.SUSPENDED)
        store.remove_key("aliceKey01")

    snapshot = load_store(path, {})
    assert [(user.name, user.status) for user in snapshot.users.values()] == [
        ("alice", Status.SUSPENDED),
        ("bob", Status.ACTIVE),
        ("carol", Status.ACTIVE),
    ]
    assert [(key.id, key.user.name) for key in snapshot.keys.values()] == [("carolKey01", "carol")]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_file_keeps_its_mode(tmp_path: Path, mode: int, umask: int) -> None:
    path = write_store(tmp_path, PEOPLE, mode=mode)

    before = os.umask(umask)
    try:
        add_carol(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "store.toml.lock").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can edit what is another's")
def test_a_file_that_root_edits_stays_its_owners_and_so_does_the_lock(tmp_path: Path) -> None:
    path = write_store(tmp_path, PEOPLE)
    os.chown(path, 12345, 54321)

    add_carol(path)

    for found in (path.stat(), (tmp_path / "store.toml.lock").stat()):
        assert (found.st_uid, found.st_gid) == (12345, 54321)


def test_who_reads_during_an_edit_has_the_old_file_whole(tmp_path: Path) -> None:
    path = write_store(tmp_path, PEOPLE)

    with path.open() as reading:
        add_carol(path)
        seen = reading.read()

    assert seen == PEOPLE
    assert names(path) == ["alice", "bob", "carol"]


def test_what_a_symbolic_link_leads_to_is_edited(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    target = write_store(tmp_path / "data", SECRETS)
    (tmp_path / "secret").write_text("s")
    link = tmp_path / "store.toml"
    link.symlink_to("data/store.toml")

    add_carol(link)

    assert str(link.readlink()) == "data/store.toml"
    assert '"carol"' in target.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "secret", "store.toml"]


def test_variables_of_the_server_need_not_be_set_here(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    path = write_store(tmp_path, SECRETS)

    add_carol(path)

    assert names(path) == ["alice", "bob", "carol"]


def test_files_with_secrets_must_be_there(tmp_path: Path) -> None:
    path = write_store(tmp_path, SECRETS)

    assert problems(path) == [
        'store.toml: provider[0].keys[1]: file "secret": no such file or directory'
    ]


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (PEOPLE.replace("alice", "bob"), 0o600, "user[1].name"),
        (PEOPLE[:-5], 0o600, "not a TOML file"),
        (PEOPLE, 0o640, "mode 0640 is open to others than its owner"),
        ("", 0o600, "there is no table in it"),
    ],
)
def test_a_file_that_is_wrong_is_told_and_left(
    tmp_path: Path, text: str, mode: int, told: str
) -> None:
    [problem] = problems(write_store(tmp_path, text, mode=mode))

    assert problem.startswith(f"store.toml: {told}")


def test_a_file_that_would_be_wrong_is_not_written(tmp_path: Path) -> None:
    path = write_store(tmp_path, GATEWAY)

    with pytest.raises(StoreError) as caught, edit_store(path) as store:
        store.remove_gateway("eu-1")

    assert caught.value.problems == [
        "not written, for it would be wrong:",
        "store.toml: there is no table in it: a truncated file must not lock everybody out",
    ]
    assert path.read_text() == GATEWAY


def test_a_file_that_would_be_too_large_is_not_written(tmp_path: Path) -> None:
    path = write_store(tmp_path, f"{PEOPLE}#{'x' * (MAX_BYTES - len(PEOPLE) - 1)}")

    assert problems(path) == [
        "not written, for it would be wrong:",
        f"store.toml: larger than {MAX_BYTES} bytes, which is the limit",
    ]


def test_an_edit_that_fails_half_way_writes_nothing(tmp_path: Path) -> None:
    path = write_store(tmp_path, PEOPLE)

    def edit() -> None:
        with edit_store(path) as store:
            store.add_user("carol", CAROL)
            store.remove_user("eve")

    with pytest.raises(StoreError, match="eve"):
        edit()

    assert path.read_text() == PEOPLE


def test_an_edit_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    path = write_store(tmp_path, PEOPLE)
    before = path.stat()

    with edit_store(path) as store:
        store.set_status("alice", Status.ACTIVE)

    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_who_cannot_have_the_lock_says_so_in_time(tmp_path: Path) -> None:
    path = write_store(tmp_path, PEOPLE)

    with (tmp_path / "store.toml.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert problems(path) == ["store.toml: locked by another process for 0.05 s"]


def test_what_a_killed_edit_left_behind_is_replaced(tmp_path: Path) -> None:
    path = write_store(tmp_path, PEOPLE)
    (tmp_path / "store.toml.tmp").symlink_to(tmp_path / "elsewhere")

    add_carol(path)

    assert names(path) == ["alice", "bob", "carol"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.toml", "store.toml.lock"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _path: None, "no such file or directory"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: os.mkfifo(path, 0o600), "not a regular file"),
        (lambda path: path.symlink_to("nowhere"), "no such file or directory"),
    ],
)
def test_what_is_no_file_is_told(tmp_path: Path, make: object, told: str) -> None:
    path = tmp_path / "store.toml"
    assert callable(make)
    make(path)

    with pytest.raises(StoreError) as caught:
        add_carol(path)

    assert caught.value.problems == [f"store.toml: {told}"]


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    path = tmp_path / "store.toml"
    path.symlink_to("store.toml")

    with pytest.raises(StoreError, match=r"store\.toml: "):
        add_carol(path)


def test_a_disk_that_takes_no_byte_leaves_the_file(tmp_path: Path) -> None:
    path = write_store(tmp_path, PEOPLE)
    script = f'ulimit -f 0; exec "{sys.executable}" -c "$0" x'

    done = subprocess.run(
        ["sh", "-c", script, ADDER], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "StoreError: store.toml: cannot be written: file too large" in done.stderr
    assert path.read_text() == PEOPLE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.toml", "store.toml.lock"]


async def test_processes_that_edit_at_once_lose_nothing(tmp_path: Path) -> None:
    path = write_store(tmp_path, f"{PEOPLE}\n# The end.\n")

    adders = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", ADDER, f"p{i}", cwd=tmp_path)
        for i in range(4)
    ]
    async with asyncio.timeout(50):
        codes = [await adder.wait() for adder in adders]

    assert codes == [0, 0, 0, 0]
    added = {f"p{process}-{number}" for process in range(4) for number in range(5)}
    assert set(names(path)) == {"alice", "bob"} | added
    assert path.read_text().count("# The end.") == 1
