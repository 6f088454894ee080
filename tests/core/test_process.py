"""The core in a process of its own: neither end outlives the other."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from otelbridge import errors
from otelbridge.clock import SteadyClock
from otelbridge.commands.init import initialise
from otelbridge.config import Config, build_config
from otelbridge.core.process import CoreProcess
from otelbridge.domain.records import RecordKind
from otelbridge.errors import (
    AlreadyExistsError,
    ConfigError,
    CoreLostError,
    InvalidRequestError,
    JournalError,
    JournalLockedError,
    OtelBridgeError,
)
from otelbridge.recording import Side, Submission
from tests.commands.programs import ended, environment, run, start
from tests.e2e import gateways as gw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

CLOCK = SteadyClock()


def config_in(folder: Path, **sections: object) -> Config:
    return build_config(dict(sections), {}, base=folder)


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[CoreProcess]:
    core = CoreProcess(config_in(tmp_path), clock_ns=CLOCK)
    yield core
    await core.close()


def submission(kind: RecordKind, request: Message | bytes) -> Submission:
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    return Submission(kind, raw, CLOCK())


async def test_a_commit_answers_each_record_and_says_what_it_added(core: CoreProcess) -> None:
    first = gw.fresh_id()
    result = await core.commit(
        [
            submission(RecordKind.START, gw.start(first)),
            submission(RecordKind.START, gw.start(first, model="another")),
            submission(RecordKind.PROMPT, b"\xff"),
        ],
        Side(),
    )

    assert [type(each) for each in result.outcomes] == [
        type(None),
        AlreadyExistsError,
        InvalidRequestError,
    ]
    assert str(result.outcomes[2]) == (
        "Recorder/RecordPromptUsage: 1 bytes are not a RecordPromptUsageRequest"
    )
    assert result.series["otelbridge.records.received", ("start", "")].value == 1
    assert sum(result.active.values()) == 1
    assert (await core.stats([])).records == 1


async def test_what_was_committed_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    core = CoreProcess(config, clock_ns=CLOCK)
    first = submission(RecordKind.START, gw.start(gw.fresh_id()))
    series = (await core.commit([first], Side())).series
    await core.close()

    again = CoreProcess(config, clock_ns=CLOCK)
    await again.close()

    assert again.opened.records == again.opened.interceptions == 1
    assert dict(again.opened.series) == dict(series)
    assert again.opened.instance_id == core.opened.instance_id


async def test_a_journal_in_use_names_the_bridge_and_not_its_core(
    core: CoreProcess, tmp_path: Path
) -> None:
    assert core.opened.records == 0

    with pytest.raises(JournalLockedError, match=f"in use by process {os.getpid()}$"):
        CoreProcess(config_in(tmp_path), clock_ns=CLOCK)


def test_what_is_wrong_with_the_settings_files_is_told_by_its_key(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("nonsense = 1")
    config = config_in(tmp_path, prices={"overrides": "prices.toml"})

    with pytest.raises(ConfigError) as caught:
        CoreProcess(config, clock_ns=CLOCK)

    assert caught.value.key == "prices.overrides"


async def test_a_core_that_was_killed_is_an_error_that_says_so(tmp_path: Path) -> None:
    core = CoreProcess(config_in(tmp_path), clock_ns=CLOCK)
    os.kill(core.pid, signal.SIGKILL)

    with pytest.raises(CoreLostError, match="killed by SIGKILL"):
        await core.commit([], Side())


def test_a_core_that_ends_before_the_journal_is_open_is_an_error_that_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(CoreLostError, match="ended: exit 3"):
        CoreProcess(config_in(tmp_path), clock_ns=CLOCK)


async def test_all_who_wait_and_all_who_come_hear_that_the_core_was_killed(tmp_path: Path) -> None:
    core = CoreProcess(config_in(tmp_path), clock_ns=CLOCK)
    os.kill(core.pid, signal.SIGSTOP)
    waiting: list[asyncio.Future[Any]] = [core.commit([], Side()), core.stats([]), core.usage()]
    os.kill(core.pid, signal.SIGKILL)

    heard = await asyncio.gather(*waiting, return_exceptions=True)
    late = await asyncio.gather(core.books(), return_exceptions=True)

    assert {(type(each), str(each)) for each in [*heard, *late]} == {
        (CoreLostError, "the journal's process has ended: killed by SIGKILL")
    }


async def test_a_core_that_was_closed_says_so(tmp_path: Path) -> None:
    core = CoreProcess(config_in(tmp_path), clock_ns=CLOCK)
    await core.close()

    with pytest.raises(CoreLostError, match="exit 0"):
        await core.stats([])


async def test_whoever_has_gone_takes_no_answer_from_the_next(core: CoreProcess) -> None:
    gone = core.commit([], Side())
    gone.cancel()

    assert (await core.stats([])).records == 0


async def test_a_fault_in_the_core_is_an_error_of_one_call(core: CoreProcess) -> None:
    with pytest.raises(RuntimeError, match="AttributeError"):
        await core.commit([], None)  # type: ignore[arg-type]

    assert (await core.commit([], Side())).outcomes == []


def test_every_error_passes_between_processes() -> None:
    known = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, OtelBridgeError)
    ]
    made = [ConfigError("listen.grpc", "wrong"), errors.UnavailableError("x", retry_after_s=7)]

    copies = [pickle.loads(pickle.dumps(error)) for error in made]  # noqa: S301

    assert len(known) > 10
    assert [vars(error) for error in copies] == [vars(error) for error in made]
    assert [str(error) for error in copies] == [str(error) for error in made]


SERVE = '[listen]\ngrpc = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n'


def child_of(pid: int) -> int:
    threads = Path(f"/proc/{pid}/task").iterdir()
    (child,) = [int(each) for one in threads for each in (one / "children").read_text().split()]
    return child


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    initialise(tmp_path)
    (tmp_path / "otelbridge.toml").write_text(SERVE)
    process = await start("serve", folder=tmp_path)
    assert process.stdout is not None
    name, address = (await process.stdout.readline()).decode().split()
    assert name == "grpc"
    await process.stdout.readuntil(b"nothing is exported\n")
    yield process, address
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_a_bridge_whose_core_was_killed_says_so_and_exits_with_1(
    serving: tuple[asyncio.subprocess.Process, str], tmp_path: Path
) -> None:
    process, address = serving
    async with grpc.aio.insecure_channel(address) as channel:
        record = channel.unary_unary("/proto.Recorder/RecordInterception")
        await record(gw.start(gw.fresh_id()).SerializeToString())
        os.kill(child_of(process.pid), signal.SIGKILL)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await record(gw.start(gw.fresh_id()).SerializeToString())
        done = await ended(process)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert done.code == 1
    assert "critical" in done.err
    assert "the journal's process has ended: killed by SIGKILL" in done.err
    assert "Traceback" not in done.err
    usage = await run("usage", "--json", folder=tmp_path)
    assert usage.code == 0, usage.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_whole_group_drains_as_one_to_the_bridge(
    serving: tuple[asyncio.subprocess.Process, str], number: signal.Signals
) -> None:
    process, _ = serving

    os.kill(child_of(process.pid), number)
    process.send_signal(number)
    done = await ended(process)

    assert (done.code, "critical" in done.err) == (0, False)


def stopped_core_of_a_killed_bridge(folder: Path) -> int:
    initialise(folder)
    (folder / "otelbridge.toml").write_text(SERVE)
    command = [sys.executable, "-m", "otelbridge", "serve"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, env=environment()) as bridge:
        assert bridge.stdout is not None
        assert bridge.stdout.readline().startswith(b"grpc ")
        os.kill(core_pid := child_of(bridge.pid), signal.SIGSTOP)
        bridge.kill()
    return core_pid


async def test_the_core_of_a_killed_bridge_leaves_the_journal_to_the_next(tmp_path: Path) -> None:
    core_pid = await asyncio.to_thread(stopped_core_of_a_killed_bridge, tmp_path)

    opening = asyncio.ensure_future(
        asyncio.to_thread(CoreProcess, config_in(tmp_path), clock_ns=CLOCK)
    )
    done, _ = await asyncio.wait([opening], timeout=1)
    os.kill(core_pid, signal.SIGCONT)
    core = await opening

    await core.close()
    assert done == set()


async def test_nothing_secret_is_in_the_arguments_of_the_core(tmp_path: Path) -> None:
    config = config_in(
        tmp_path,
        destination=[
            {
                "name": "otlp",
                "endpoint": "http://127.0.0.1:1",
                "headers": {"authorization": "Bearer hidden-token"},
            }
        ],
    )

    core = CoreProcess(config, clock_ns=CLOCK)
    arguments = await asyncio.to_thread(Path(f"/proc/{core.pid}/cmdline").read_bytes)
    await core.close()

    assert b"otelbridge.core" in arguments
    assert b"hidden" not in arguments


def test_a_journal_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database" * 100)

    with pytest.raises(JournalError):
        CoreProcess(config_in(tmp_path), clock_ns=CLOCK)
