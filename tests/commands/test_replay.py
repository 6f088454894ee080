"""``otelbridge replay``."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.errors import UnauthenticatedError
from otelbridge.proto import aibridged_pb2 as pb
from tests.commands.programs import run
from tests.transports.fakes import RIGHT_KEY, START, server
from tests.transports.gateway.worlds import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_CAPTURE = Path(__file__).parents[1] / "captures" / "injected-tools-paced.jsonl"
_TO = ("--to", "grpc://127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "Missing option '--to'."),
        (
            ("--to", "h:1"),
            'Invalid value for --to: "h:1" is not of the form grpc://HOST:PORT or ws://HOST:PORT',
        ),
        (
            (*_TO, "--speed", "0"),
            "Invalid value for '--speed': '0' is neither a number above 0 nor max",
        ),
        (
            (*_TO, "--speed", "inf"),
            "Invalid value for '--speed': 'inf' is neither a number above 0 nor max",
        ),
        (
            (*_TO, "--speed", "fast"),
            "Invalid value for '--speed': 'fast' is neither a number above 0 nor max",
        ),
        ((*_TO, "--ca", "x.pem"), "Invalid value for --to: a CA is for grpcs://HOST:PORT"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], problem: str) -> None:
    done = CliRunner().invoke(cli, ["replay", str(_CAPTURE), *arguments])

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: {problem}"


def test_a_capture_that_is_not_there_is_one_line() -> None:
    done = CliRunner().invoke(cli, ["replay", "nope.jsonl", *_TO])

    assert (done.exit_code, done.stderr) == (1, "Error: nope.jsonl: No such file or directory\n")


def test_a_mistake_in_a_capture_is_one_line_before_anything_is_sent(tmp_path: Path) -> None:
    capture = tmp_path / "capture.jsonl"
    capture.write_text('{"rpc": "Recorder/Nope"}\n')

    done = CliRunner().invoke(cli, ["replay", str(capture), *_TO])

    assert (done.exit_code, done.stderr) == (
        1,
        f'Error: {capture}:1: rpc: "Recorder/Nope" is not a method of the contract\n',
    )


async def test_where_no_bridge_answers_it_is_one_line(tmp_path: Path) -> None:
    done = await run("replay", str(_CAPTURE), *_TO, folder=tmp_path)

    assert (done.code, done.out) == (1, "")
    assert done.err == "Error: no bridge answers at grpc://127.0.0.1:1\n"


async def test_where_no_gateway_can_connect_it_is_one_line(tmp_path: Path) -> None:
    done = await run(
        "replay", str(_CAPTURE), "--to", "ws://127.0.0.1:1", "--key", "k", folder=tmp_path
    )

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: no bridge answers at ws://127.0.0.1:1: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ((), "401 AI Gateway key required."),
        (("--key", "x" * 43), "401 AI Gateway key invalid."),
    ],
)
async def test_a_gateway_that_is_refused_is_one_line(
    tmp_path: Path, key: tuple[str, ...], told: str
) -> None:
    async with running() as world:
        done = await run("replay", str(_CAPTURE), "--to", world.url, *key, folder=tmp_path)

    assert (done.code, done.out, done.err) == (1, "", f"Error: {world.url} refuses: {told}\n")


async def test_a_gateway_sends_everything_over_its_websocket(tmp_path: Path) -> None:
    options = ("--speed", "max", "--key", RIGHT_KEY)
    async with running() as world:
        done = await run("replay", str(_CAPTURE), "--to", world.url, *options, folder=tmp_path)

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "51 calls: 51 OK, 0 refused, 0 failed"
    assert len(world.books.calls) == 51
    assert world.errors() == {}


@asynccontextmanager
async def _serving(
    handlers: dict[str, Callable[..., Any]], *, is_open: bool = True
) -> AsyncIterator[str]:
    started = server(handlers, is_open=is_open)
    await started.start()
    try:
        yield f"grpc://{started.address}"
    finally:
        await started.stop(0)


async def test_everything_is_sent_and_counted_by_method_and_status(tmp_path: Path) -> None:
    async with _serving({}, is_open=False) as url:
        done = await run(
            "replay",
            str(_CAPTURE),
            "--to",
            url,
            "--speed",
            "max",
            folder=tmp_path,
            OTELBRIDGE_KEY=RIGHT_KEY,
        )

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "51 calls: 51 OK, 0 refused, 0 failed"
    assert "Recorder/RecordTokenUsage                      OK         17" in done.out


async def test_what_a_store_does_not_know_is_refused_and_no_failure(tmp_path: Path) -> None:
    async def refuse(_request: Any, _call: Any) -> Any:
        raise UnauthenticatedError("unknown key")

    async with _serving({"/proto.Authorizer/IsAuthorized": refuse}) as url:
        done = await run("replay", str(_CAPTURE), "--to", url, "--speed", "max", folder=tmp_path)

    assert done.code == 0
    assert done.out.splitlines()[-3:] == [
        "Authorizer/IsAuthorized UNAUTHENTICATED: unknown key",
        (
            "MCPConfigurator/GetMCPServerAccessTokensBatch UNAUTHENTICATED: "
            "a valid gateway key is required"
        ),
        "51 calls: 45 OK, 6 refused, 0 failed",
    ]


async def test_a_record_that_is_refused_is_a_failure(tmp_path: Path) -> None:
    async with _serving({}, is_open=False) as url:
        done = await run(
            "replay",
            str(_CAPTURE),
            "--to",
            url,
            "--speed",
            "max",
            "--key",
            "wrong",
            folder=tmp_path,
        )

    assert done.code == 1
    assert done.out.splitlines()[-1] == "51 calls: 0 OK, 12 refused, 39 failed"


@pytest.mark.parametrize("fresh", [False, True])
async def test_only_fresh_ids_are_new(tmp_path: Path, *, fresh: bool) -> None:
    seen: list[str] = []

    async def remember(request: Any, _call: Any) -> Any:
        seen.append(request.id)
        return pb.RecordInterceptionResponse()

    options = ("--speed", "max", *(["--fresh"] * fresh))
    async with _serving({START: remember}) as url:
        done = await run("replay", str(_CAPTURE), "--to", url, *options, folder=tmp_path)

    assert (done.code, len(seen)) == (0, 4)
    assert ("e535fbd7-6088-449a-b7d1-8465bf84c84a" in seen) is not fresh
