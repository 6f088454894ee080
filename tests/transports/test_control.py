"""The control socket."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from otelbridge.errors import JournalError, OtelBridgeError
from otelbridge.transports.control import ControlServer, ask, control_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.transports.conftest import Startable

    Run = Callable[[Startable], Awaitable[None]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the socket of a journal in a folder of its own."""
    return control_path(tmp_path / "journal.db")


async def _ask(path: Path, name: str, **parameters: str) -> Any:
    return await asyncio.to_thread(ask, path, name, **parameters)


async def test_a_command_is_answered_with_what_the_callable_returns(run: Run, path: Path) -> None:
    user = UUID(int=1)
    await run(ControlServer(path, {"usage": lambda _query: [{"user": user, "cost": 3}]}))

    assert await _ask(path, "usage") == [{"user": str(user), "cost": 3}]


async def test_an_answer_may_be_awaited_and_may_depend_on_the_query(run: Run, path: Path) -> None:
    async def letters(query: Mapping[str, str]) -> str:
        return query["limit"]

    await run(ControlServer(path, {"deadletters": letters}))

    assert await _ask(path, "deadletters", limit="7") == "7"


async def test_the_socket_is_its_users_alone(run: Run, path: Path) -> None:
    await run(ControlServer(path, {}))

    mode = (await asyncio.to_thread(path.stat)).st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)


async def test_the_umask_is_as_before(run: Run, path: Path) -> None:
    before = os.umask(0o022)
    try:
        await run(ControlServer(path, {}))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


async def test_a_dead_process_socket_is_replaced_and_a_stopped_one_removed(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = ControlServer(path, {"usage": lambda _query: 1})

    await server.start()
    answer = await _ask(path, "usage")
    await server.stop()

    assert answer == 1
    assert not await asyncio.to_thread(path.exists)


async def test_an_error_comes_back_as_an_error(run: Run, path: Path) -> None:
    def fail(_query: Mapping[str, str]) -> None:
        raise JournalError("the journal is closed")

    await run(ControlServer(path, {"usage": fail}))

    with pytest.raises(OtelBridgeError, match=r"^the journal is closed$"):
        await _ask(path, "usage")


async def test_a_question_that_an_older_bridge_does_not_know_is_an_error(
    run: Run, path: Path
) -> None:
    await run(ControlServer(path, {}))

    with pytest.raises(OtelBridgeError, match=r"^not found$"):
        await _ask(path, "usage")


def test_where_no_bridge_runs_there_is_no_answer(path: Path) -> None:
    assert ask(path, "usage") is None


def test_a_dead_process_socket_is_no_answer(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    assert ask(path, "usage") is None


def test_the_socket_lies_beside_the_journal() -> None:
    assert control_path(Path("/var/lib/o/journal.db")) == Path("/var/lib/o/journal.db.sock")


def test_a_path_that_is_too_long_goes_to_the_run_time_directory(tmp_path: Path) -> None:
    journal = tmp_path / ("d" * 100) / "journal.db"

    found = control_path(journal)

    assert len(os.fsencode(found)) <= 100
    assert found == control_path(journal)
    assert found != control_path(journal.with_name("other.db"))
    assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700
