"""When a store file is read again: whatever is done to it or to a file that it names."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from otelbridge.domain.access import Snapshot
from otelbridge.errors import StoreError
from otelbridge.store.reloading import StoreFile
from tests.faults import fault
from tests.store.files import ALICE, GATEWAY, PEOPLE, PROVIDER, write_store

KEYED = PROVIDER + 'keys = [{ file = "key" }]\n'
_TICKS = count(1_700_000_000 * 10**9, 10**9)


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file in place, at a later time than any other: tests outrun the disk's clock."""
    path.write_text(text)
    path.chmod(mode)
    at_ns = next(_TICKS)
    os.utime(path, ns=(at_ns, at_ns))


def replace(path: Path, text: str) -> None:
    """Write a file as editors do: another one, renamed."""
    write(path.with_suffix(".new"), text)
    path.with_suffix(".new").rename(path)


def opened(directory: Path, text: str = GATEWAY, **files: str) -> StoreFile:
    """Return a store file that was loaded and looked at once."""
    for name, content in files.items():
        write(directory / name, content)
    write(directory / "store.toml", text)
    file = StoreFile(directory / "store.toml", {})
    file.load()
    assert not file.has_changed()
    return file


def looks(file: StoreFile) -> int:
    """Return how many looks it takes until the file is to be read; 0 if it is not."""
    return next((look for look in range(1, 9) if file.has_changed()), 0)


def test_what_did_not_change_is_not_read(tmp_path: Path) -> None:
    assert looks(opened(tmp_path)) == 0


@pytest.mark.parametrize("edit", [write, replace])
def test_an_edit_is_taken_at_the_second_look_that_finds_it_the_same(
    tmp_path: Path, edit: Callable[[Path, str], None]
) -> None:
    file = opened(tmp_path)

    edit(tmp_path / "store.toml", PEOPLE)

    assert looks(file) == 2
    assert list(file.load().gateways) == []
    assert looks(file) == 0


@fault(34)
def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    file = opened(tmp_path)

    write(tmp_path / "store.toml", PEOPLE[:30])
    assert not file.has_changed()
    write(tmp_path / "store.toml", PEOPLE[:60])
    assert not file.has_changed()
    write(tmp_path / "store.toml", PEOPLE)
    assert not file.has_changed()

    assert file.has_changed()


def test_a_file_that_never_rests_is_taken_at_the_fourth_look(tmp_path: Path) -> None:
    file = opened(tmp_path, KEYED, key="0")
    found = []

    for number in range(8):
        write(tmp_path / "key", str(number))
        found.append(file.has_changed())
        if found[-1]:
            file.load()

    assert found == [False, False, False, True] * 2


def test_a_change_during_the_read_is_one_that_comes_after_it(tmp_path: Path) -> None:
    class Edited(dict[str, str]):
        """An environment that is asked while the store is read."""

        def __contains__(self, name: object) -> bool:
            replace(tmp_path / "store.toml", GATEWAY)
            return super().__contains__(name)

    write(tmp_path / "store.toml", PROVIDER + 'keys = [{ env = "KEY" }]\n')
    file = StoreFile(tmp_path / "store.toml", Edited(KEY="k"))

    assert list(file.load().providers) == ["p"]

    assert looks(file) == 2
    assert not file.load().providers


def test_a_file_with_an_older_date_is_a_change(tmp_path: Path) -> None:
    file = opened(tmp_path)
    write(tmp_path / "backup", PEOPLE)
    os.utime(tmp_path / "backup", ns=(1, 1))

    (tmp_path / "backup").rename(tmp_path / "store.toml")

    assert looks(file) == 2


def test_a_write_that_keeps_size_and_date_is_a_change(tmp_path: Path) -> None:
    file = opened(tmp_path, KEYED, key="first")
    path, before = tmp_path / "key", (tmp_path / "key").stat()

    while path.stat().st_ctime_ns == before.st_ctime_ns:  # until the disk's clock ticks
        path.write_text("other")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert looks(file) == 2


def test_a_touch_is_read_and_says_the_same(tmp_path: Path) -> None:
    file = opened(tmp_path)
    before = file.load()

    write(tmp_path / "store.toml", GATEWAY)

    assert looks(file) == 2
    assert file.load() == before


@fault(34)
def test_a_file_that_goes_and_comes_again_is_read_twice(tmp_path: Path) -> None:
    file = opened(tmp_path)

    (tmp_path / "store.toml").unlink()
    assert looks(file) == 2
    with pytest.raises(StoreError, match=r"\Astore\.toml: no such file or directory\Z"):
        file.load()
    assert looks(file) == 0

    write(tmp_path / "store.toml", PEOPLE)
    assert looks(file) == 2
    assert len(file.load().users) == 2


@fault(34)
def test_a_file_that_becomes_readable_by_others_is_refused_until_it_is_not(tmp_path: Path) -> None:
    file = opened(tmp_path)

    (tmp_path / "store.toml").chmod(0o644)
    assert looks(file) == 2
    with pytest.raises(StoreError, match="mode 0644 is open to others"):
        file.load()

    (tmp_path / "store.toml").chmod(0o600)
    assert looks(file) == 2
    assert file.load().gateways


@fault(34)
def test_a_mount_that_swaps_its_link_to_a_directory_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes updates a volume: file → ..data/file, ..data → ..1, then ..2."""
    for version, key in (("..1", "first"), ("..2", "second")):
        (tmp_path / version).mkdir()
        write(tmp_path / version / "store.toml", KEYED)
        write(tmp_path / version / "key", key)
    (tmp_path / "..data").symlink_to("..1")
    for name in ("store.toml", "key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    file = StoreFile(tmp_path / "store.toml", {})
    assert provider_key(file.load()) == "first"

    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert looks(file) == 2
    assert provider_key(file.load()) == "second"


@pytest.mark.parametrize("edit", [write, replace])
def test_a_change_of_a_file_that_is_named_counts(
    tmp_path: Path, edit: Callable[[Path, str], None]
) -> None:
    file = opened(tmp_path, KEYED, key="first", other="x")
    edit(tmp_path / "other", "y")
    assert looks(file) == 0

    edit(tmp_path / "key", "second")

    assert looks(file) == 2
    assert provider_key(file.load()) == "second"


def test_a_file_that_is_named_and_missing_is_read_when_it_comes(tmp_path: Path) -> None:
    file = opened(tmp_path)
    write(tmp_path / "store.toml", KEYED)
    with pytest.raises(StoreError, match='file "key": no such file or directory'):
        file.load()
    assert looks(file) == 0

    write(tmp_path / "key", "late")

    assert looks(file) == 2
    assert provider_key(file.load()) == "late"


def test_a_file_that_is_no_longer_named_is_not_looked_at(tmp_path: Path) -> None:
    file = opened(tmp_path, KEYED, key="first")
    write(tmp_path / "store.toml", GATEWAY)
    file.load()

    write(tmp_path / "key", "second")

    assert looks(file) == 0


def test_a_name_that_no_file_can_have_is_told(tmp_path: Path) -> None:
    write(tmp_path / "store.toml", PROVIDER + r'keys = [{ file = "a\u0000b" }]')
    file = StoreFile(tmp_path / "store.toml", {})

    with pytest.raises(StoreError, match=r"file \"a\\x00b\": embedded null byte"):
        file.load()

    assert looks(file) == 0


def test_a_bug_is_an_error_of_the_file_without_what_is_in_it(tmp_path: Path) -> None:
    class Broken(dict[str, str]):
        def __contains__(self, name: object) -> bool:
            raise ZeroDivisionError("CANARY")

    write_store(tmp_path, PROVIDER + 'keys = [{ env = "KEY" }]\n')

    with pytest.raises(StoreError) as caught:
        StoreFile(tmp_path / "store.toml", Broken()).load()

    (problem,) = caught.value.problems
    assert problem.startswith("store.toml: cannot be loaded: ZeroDivisionError in __contains__, ")
    assert "CANARY" not in problem


def provider_key(snapshot: Snapshot) -> str:
    """Return the only key of the only provider."""
    ((key,),) = [provider.keys for provider in snapshot.providers.values()]
    return key.reveal()


def test_what_these_tests_write_is_a_store(tmp_path: Path) -> None:
    assert str(next(iter(opened(tmp_path, PEOPLE).load().users))) == ALICE
