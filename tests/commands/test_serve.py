"""``otelbridge serve``, as a process."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import httpx2
import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from tests.commands.programs import ended, run, start
from tests.transports.fakes import START

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

_SETTINGS = """\
[listen]
grpc = "127.0.0.1:0"
http = "127.0.0.1:0"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files of a bridge on free ports."""
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(cli, ["init", "."], catch_exceptions=False)
    (tmp_path / "otelbridge.toml").write_text(_SETTINGS)
    return tmp_path


async def _line(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    async with asyncio.timeout(20):
        return (await stream.readline()).decode().rstrip("\n")


@asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[tuple[Process, dict[str, str]]]:
    """Serve; give the process and its addresses by name."""
    process = await start("serve", folder=folder)
    try:
        addresses = {}
        while (line := await _line(process.stdout)) and not line.startswith("no destination"):
            name, _, address = line.partition(" ")
            addresses[name] = address
        yield process, addresses
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_prints_a_line_an_address_and_each_can_be_used(folder: Path) -> None:
    async with _serving(folder) as (process, addresses):
        assert list(addresses) == ["grpc", "http", "metrics", "gateway", "page"]
        async with httpx2.AsyncClient(trust_env=False) as client:
            metrics = await client.get(addresses["metrics"])
            ready = await client.get(f"{addresses['http']}/readyz")
        async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
            await channel.channel_ready()
        process.terminate()

    assert (metrics.status_code, ready.status_code) == (200, 200)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_it_exits_0(folder: Path, number: signal.Signals) -> None:
    async with _serving(folder) as (process, _):
        process.send_signal(number)
        done = await ended(process)

    assert done.code == 0
    assert f"{number.name}: draining" in done.err
    assert "Traceback" not in done.err


async def test_a_hangup_does_not_end_it(folder: Path) -> None:
    async with _serving(folder) as (process, addresses):
        process.send_signal(signal.SIGHUP)
        while "SIGHUP" not in await _line(process.stderr):
            pass
        async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
            await channel.channel_ready()
        process.terminate()

        assert (await ended(process)).code == 0


async def test_a_second_signal_ends_it_at_once(folder: Path) -> None:
    async with (
        _serving(folder) as (process, addresses),
        grpc.aio.insecure_channel(addresses["grpc"]) as channel,
    ):
        # A call whose request never comes holds the drain up.
        await channel.channel_ready()
        held = channel.stream_unary(START)()
        # What was sent after it on the same connection is answered: it has begun.
        await channel.unary_unary("/grpc.health.v1.Health/Check")(b"")
        process.terminate()
        while "draining" not in await _line(process.stderr):
            pass
        process.terminate()
        async with asyncio.timeout(5):
            code = await process.wait()
        held.cancel()

    assert code == 128 + signal.SIGTERM


async def test_a_port_in_use_is_one_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (folder / "otelbridge.toml").write_text(f"{_SETTINGS.replace('127.0.0.1:0', address, 1)}")

        done = await run("serve", folder=folder, OTELBRIDGE_LOG__LEVEL="error")

    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: listen.grpc: {address} is already in use\n"


async def test_a_store_that_is_not_there_is_one_line(folder: Path) -> None:
    (folder / "store.toml").unlink()

    done = await run("serve", folder=folder, OTELBRIDGE_LOG__LEVEL="error")

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: store.toml: ")
    assert done.err.count("\n") == 1


async def test_a_journal_in_use_is_one_line_that_names_its_holder(folder: Path) -> None:
    async with _serving(folder) as (process, _):
        done = await run("serve", folder=folder, OTELBRIDGE_LOG__LEVEL="error")

    assert (done.code, done.out) == (1, "")
    assert str(process.pid) in done.err
    assert done.err.count("\n") == 1


async def test_a_journal_that_cannot_be_written_is_one_line(folder: Path) -> None:
    (folder / "otelbridge.toml").write_text(f'{_SETTINGS}[journal]\nurl = "sqlite:no/journal.db"\n')

    done = await run("serve", folder=folder, OTELBRIDGE_LOG__LEVEL="error")

    assert (done.code, done.out) == (1, "")
    assert "no/journal.db" in done.err
    assert done.err.count("\n") == 1


async def test_the_log_can_be_json(folder: Path) -> None:
    (folder / "otelbridge.toml").write_text(f'{_SETTINGS}[log]\nformat = "json"\n')

    async with _serving(folder) as (process, _):
        process.terminate()
        done = await ended(process)

    assert done.err
    assert all(line.startswith('{"time": ') for line in done.err.splitlines())


async def test_as_many_files_may_be_open_as_there_may_be_connections(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))  # as where nothing is set
    try:
        async with _serving(folder) as (process, _):
            allowed, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert allowed == (8192 if hard == resource.RLIM_INFINITY else min(8192, hard))
