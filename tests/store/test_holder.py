"""The live store: swapped in whole, and told to who waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from otelbridge.errors import StoreError
from otelbridge.store import Store, load_store
from tests.store.files import GATEWAY, GATEWAY_KEY, open_store, write_store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

FIRST = '[[provider]]\nname = "a"\ntype = "t"\nkeys = [{ env = "KEY" }]\n'
SECOND = '[[provider]]\nname = "b"\ntype = "t"\n'


def first(directory: Path, text: str = FIRST) -> Store:
    return open_store(directory, text, {"KEY": "first"})


def swap(store: Store, directory: Path, text: str, *, key: str = "first") -> None:
    store.swap(load_store(write_store(directory, text), {"KEY": key}))


async def messages(changes: AsyncGenerator[None, None]) -> int:
    """Count what is there without waiting, once the loop has nothing else to do."""
    count = 0
    pending = asyncio.ensure_future(anext(changes, StopAsyncIteration))
    while True:
        for _ in range(5):
            await asyncio.sleep(0)
        if not pending.done() or pending.result() is StopAsyncIteration:
            pending.cancel()
            return count
        count += 1
        pending = asyncio.ensure_future(anext(changes, StopAsyncIteration))


def test_what_was_loaded_is_answered_until_it_is_swapped(tmp_path: Path) -> None:
    store = open_store(tmp_path, GATEWAY)
    before = store.snapshot

    swap(store, tmp_path, SECOND)

    assert (len(before.gateways), len(before.providers)) == (1, 0)
    assert (len(store.snapshot.gateways), len(store.snapshot.providers)) == (0, 1)


def test_a_gateway_is_known_as_long_as_its_key_is_in_the_store(tmp_path: Path) -> None:
    store = open_store(tmp_path, GATEWAY)
    assert store.gateway_name(GATEWAY_KEY) == "eu-1"

    swap(store, tmp_path, SECOND)

    assert store.gateway_name(GATEWAY_KEY) is None


def test_a_store_whose_file_is_right_has_no_age(tmp_path: Path) -> None:
    store = open_store(tmp_path, GATEWAY)

    assert store.health == (0, 0)
    assert store.health.told() == {"status": "current"}


def test_the_age_counts_from_when_the_file_was_found_to_be_wrong_until_it_is_right(
    tmp_path: Path,
) -> None:
    clock_ns = iter([5_000_000_000, 7_500_000_000, 9_000_000_000]).__next__
    snapshot = load_store(write_store(tmp_path, GATEWAY), {})
    store = Store(snapshot, tokens_path=tmp_path / "tokens.json", monotonic_ns=clock_ns)

    store.keep(["store.toml: CANARY"])
    assert store.health == (1, 2.5)
    store.keep(["store.toml: CANARY", "store.toml: another"])
    assert store.health.told() == {"status": "stale", "age_s": 4.0, "problems": 2}
    assert store.snapshot is snapshot

    store.swap(snapshot)
    assert store.health == (0, 0)


async def test_who_watches_the_store_is_told_of_swaps_and_several_at_once_are_one(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path, GATEWAY)
    watcher = store.watch()
    assert await messages(store.watch()) == 1
    await anext(watcher)

    swap(store, tmp_path, GATEWAY)
    swap(store, tmp_path, SECOND)

    assert await messages(watcher) == 1


def test_a_store_that_is_wrong_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_store(tmp_path, "")


async def test_a_watcher_is_told_at_once(tmp_path: Path) -> None:
    store = first(tmp_path)

    assert await messages(store.watch_providers()) == 1


async def test_every_change_is_told_once_however_busy_the_watcher(tmp_path: Path) -> None:
    store = first(tmp_path)
    watcher = store.watch_providers()
    await anext(watcher)

    swap(store, tmp_path, FIRST + SECOND)
    swap(store, tmp_path, FIRST + SECOND, key="rotated")
    swap(store, tmp_path, SECOND)

    assert await messages(watcher) == 3


async def test_a_waiting_watcher_is_woken_by_a_change(tmp_path: Path) -> None:
    store = first(tmp_path)
    watcher = store.watch_providers()
    await anext(watcher)
    waiting = asyncio.ensure_future(anext(watcher))
    await asyncio.sleep(0)

    swap(store, tmp_path, FIRST, key="rotated")

    await asyncio.wait_for(waiting, 5)


async def test_what_changes_no_provider_is_not_told(tmp_path: Path) -> None:
    store = first(tmp_path, FIRST + SECOND)
    watcher = store.watch_providers()
    await anext(watcher)

    swap(store, tmp_path, SECOND + FIRST)
    swap(store, tmp_path, GATEWAY + FIRST + SECOND)

    assert await messages(watcher) == 0


async def test_closing_ends_watchers_that_wait_and_those_that_come(tmp_path: Path) -> None:
    store = open_store(tmp_path, SECOND)

    async def watch(kind: Callable[[], AsyncGenerator[None, None]]) -> int:
        return len([change async for change in kind()])

    kinds = (store.watch_providers, store.watch)
    watching = [asyncio.ensure_future(watch(kind)) for kind in kinds]
    await asyncio.sleep(0)
    store.close()

    for kind, task in zip(kinds, watching, strict=True):
        assert await asyncio.wait_for(task, 5) == 1
        assert await asyncio.wait_for(watch(kind), 5) == 1
