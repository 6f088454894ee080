"""A store that follows its file: from a thread, in whole, and told in the log."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from otelbridge.errors import StoreError
from otelbridge.store import StoreWatcher, load_store
from otelbridge.store.reloading import StoreFile
from tests.store.files import GATEWAY, MCP, PEOPLE, PROVIDER, open_store, write_store
from tests.store.watchers import LIMIT_S, edit, watching

WRONG = GATEWAY + MCP.replace("https", "ftp")
PROBLEM = (
    'store.toml: mcp_server[0].url: "ftp://a.example.com" '
    "is not a URL of the form http(s)://HOST[:PORT][/PATH]"
)
KEPT = "store.toml: 1 problem, what was last right stays in force"
IN_FORCE = "users: {}, keys: 0, gateways: {}, MCP servers: 0, providers: {}, budgets: 0"


def threads() -> list[threading.Thread]:
    """Return the threads of watchers."""
    return [thread for thread in threading.enumerate() if thread.name == "store"]


async def test_an_edit_is_in_force_when_the_log_says_so(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, lines):
        edit(tmp_path, PEOPLE)

        assert await lines.next() == ("INFO", f"store.toml: in force: {IN_FORCE.format(2, 0, 0)}")
        assert watcher.store.snapshot == load_store(tmp_path / "store.toml", {})


async def test_a_mistake_changes_nothing_and_is_told_once(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, lines):
        before = watcher.store.snapshot
        edit(tmp_path, WRONG)
        assert await lines.next() == ("ERROR", PROBLEM)
        assert await lines.next() == ("WARNING", KEPT)

        edit(tmp_path, WRONG + PROVIDER + PROVIDER)
        problem = 'store.toml: provider[1].name: "p" is used already, by provider[0]'
        assert await lines.next() == ("ERROR", problem)

        assert watcher.store.snapshot is before
        assert watcher.store.health.problems == 2


async def test_a_mistake_that_is_put_right_heals_by_itself_and_is_told_anew_if_it_comes_again(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path) as (watcher, lines):
        for _ in range(2):
            edit(tmp_path, WRONG)
            assert [await lines.next(), await lines.next()] == [
                ("ERROR", PROBLEM),
                ("WARNING", KEPT),
            ]
            edit(tmp_path, GATEWAY)
            counts = IN_FORCE.format(0, 1, 0)
            assert await lines.next() == ("INFO", f"store.toml: nothing changed: {counts}")
            assert watcher.store.health.problems == 0


async def test_a_touch_says_nothing(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, lines):
        changes = watcher.store.watch()
        await anext(changes)

        edit(tmp_path, GATEWAY)

        async with asyncio.timeout(LIMIT_S):
            await anext(changes)
        assert lines.seen.empty()


async def test_a_reload_that_is_asked_for_says_in_one_line_what_came_of_it(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, lines):
        watcher.reload(asked_by="SIGHUP")
        counts = IN_FORCE.format(0, 1, 0)
        assert await lines.next() == ("INFO", f"SIGHUP: store.toml: nothing changed: {counts}")

        edit(tmp_path, WRONG)
        assert [await lines.next(), await lines.next()] == [("ERROR", PROBLEM), ("WARNING", KEPT)]
        watcher.reload(asked_by="SIGHUP")
        assert await lines.next() == ("WARNING", f"SIGHUP: {KEPT}")


async def test_a_change_of_providers_is_told_once_however_often_the_file_is_written(
    tmp_path: Path,
) -> None:
    text = PROVIDER + 'keys = [{ file = "key" }]\n'
    (tmp_path / "key").write_text("first")
    async with watching(tmp_path, text) as (watcher, lines):
        told = watcher.store.watch_providers()
        await anext(told)
        edit(tmp_path, text)
        edit(tmp_path, text + GATEWAY)
        assert (await lines.next())[0] == "INFO"

        (tmp_path / "key").write_text("rotated")

        async with asyncio.timeout(LIMIT_S):
            await anext(told)
        assert (await lines.next())[0] == "INFO"
        waiting = asyncio.ensure_future(anext(told))
        await asyncio.sleep(0)
        assert not waiting.done()
        watcher.store.close()
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_a_file_that_is_wrong_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        StoreWatcher.open(write_store(tmp_path, WRONG), {})


async def test_a_watch_ends_with_its_thread(tmp_path: Path) -> None:
    async with watching(tmp_path):
        assert len(threads()) == 1

    assert threads() == []


async def test_a_file_system_that_hangs_holds_up_neither_replies_nor_the_stop(
    tmp_path: Path,
) -> None:
    is_read, goes_on = threading.Event(), threading.Event()

    class Hanging(dict[str, str]):
        """Stands for a read that does not return."""

        def __contains__(self, name: object) -> bool:
            is_read.set()
            return goes_on.wait(LIMIT_S)

    store, file = (
        open_store(tmp_path, GATEWAY),
        StoreFile(tmp_path / "store.toml", Hanging(KEY="k")),
    )
    file.load()
    watcher = StoreWatcher(store, file, look_s=0.01)
    watcher.start()
    edit(tmp_path, PROVIDER + 'keys = [{ env = "KEY" }]\n')

    assert await asyncio.to_thread(is_read.wait, LIMIT_S)
    await watcher.stop(limit_s=0.01)

    (thread,) = threads()
    goes_on.set()
    await asyncio.to_thread(thread.join, LIMIT_S)
    await asyncio.sleep(0)
    assert store.snapshot.gateways
