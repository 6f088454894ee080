"""``otelbridge demo``, as a process: a person's first look at the product."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from otelbridge.commands.demo_world import make_world, session
from otelbridge.store import load_store
from tests.commands.programs import ended, environment, start

_NOW_NS = 1_800_000_000_000_000_000
_DATA = Path(__file__).parents[2] / "otelbridge" / "data"


def _requests(rpc: str) -> list[dict[str, Any]]:
    lines = [line for path in _DATA.glob("*.jsonl") for line in path.read_text().splitlines()]
    return [call["request"] for call in map(json.loads, lines) if call["rpc"] == rpc]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the demonstration ran, and where its temporary files were."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the demonstration once."""
    return subprocess.run(
        [sys.executable, "-m", "otelbridge", "demo"],
        cwd=folder,
        env=environment(TMPDIR=str(folder)),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_it_ends_by_itself_with_what_the_session_used(
    done: subprocess.CompletedProcess[str],
) -> None:
    tokens = _requests("Recorder/RecordTokenUsage")
    starts = len(_requests("Recorder/RecordInterception"))
    tools = _requests("Recorder/RecordToolUsage")
    ran = sum(bool(tool.get("injected")) for tool in tools)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"{starts} interceptions of 2 people, $" in done.stdout
    assert f", {sum(int(t.get('outputTokens', 0)) for t in tokens):,} out\n" in done.stdout
    assert f"tools: {len(tools) - ran} asked for, {ran} executed\n" in done.stdout
    assert "all answered OK" in done.stdout


def test_it_shows_who_asked_what_of_which_model_with_which_tools(
    done: subprocess.CompletedProcess[str],
) -> None:
    assert "alice with Claude Code  conversation " in done.stdout
    assert "chat claude-haiku-4-5-20251001  0.8 s" in done.stdout
    assert "prompt of 88 characters" in done.stdout
    assert "asked for Grep" in done.stdout
    assert "execute_tool broken_tool on tracker  failed" in done.stdout


def test_it_names_the_addresses_that_it_listens_on(
    done: subprocess.CompletedProcess[str],
) -> None:
    assert re.search(r"^  metrics  http://127\.0\.0\.1:\d+/metrics$", done.stdout, re.MULTILINE)


def test_without_a_terminal_it_is_plain_text_of_80_columns(
    done: subprocess.CompletedProcess[str],
) -> None:
    assert "\x1b" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())


def test_it_leaves_nothing_behind(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 0
    assert list(folder.iterdir()) == []


async def test_a_terminated_demo_cleans_up_too(tmp_path: Path) -> None:
    process = await start("demo", folder=tmp_path, TMPDIR=str(tmp_path))
    assert process.stdout is not None
    await process.stdout.readline()
    process.terminate()
    done = await ended(process)

    assert done.code == 128 + signal.SIGTERM
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_kept_it_runs_until_it_is_interrupted_and_shows_its_metrics(tmp_path: Path) -> None:
    process = await start("demo", "--keep", folder=tmp_path)
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(30):
        while not re.search(r"Ctrl-C:(.*\n)+  metrics +(\S+)\n", text):
            text += (await process.stdout.readline()).decode()
    url = text.split()[-1]
    async with httpx2.AsyncClient(trust_env=False) as client:
        page = (await client.get(url)).text
    process.send_signal(signal.SIGINT)

    assert (await ended(process)).code == 0
    assert "aibridge_interceptions_total" in page


def test_its_store_knows_everybody_in_the_session(tmp_path: Path) -> None:
    calls = session(_NOW_NS)

    config, _ = make_world(tmp_path, calls, "http://127.0.0.1:1")

    snapshot = load_store(config.store.path, {})
    keys = {request["key"].split("-")[0] for request in _requests("Authorizer/IsAuthorized")}
    assert snapshot.keys.keys() == keys
    assert {user.name for user in snapshot.users.values()} == {"alice", "bob"}
    assert set(snapshot.mcp_servers) == {"tracker", "wiki"}


@pytest.mark.parametrize("name", sorted(path.name for path in _DATA.glob("*.jsonl")))
def test_the_shipped_session_is_the_tested_capture(name: str) -> None:
    tested = Path(__file__).parents[1] / "captures" / name

    assert (_DATA / name).read_bytes() == tested.read_bytes()
