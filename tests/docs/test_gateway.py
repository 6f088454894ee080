"""docs/gateway.md names limits, kinds of mistakes, answers and commands that there are."""

from __future__ import annotations

import re
import shlex
from typing import get_args

import click
import pytest

from otelbridge.cli import cli
from otelbridge.errors import ProtocolErrorKind
from otelbridge.protocols import drpc, yamux
from otelbridge.telemetry.instruments import INSTRUMENTS
from otelbridge.transports import http_app, http_server, listener
from otelbridge.transports.gateway import calls, connection, endpoint, session, sessions
from tests.docs.pages import ROOT, examples
from tests.transports.fakes import RIGHT_KEY
from tests.transports.gateway.peers import peer
from tests.transports.gateway.worlds import Response, eventually, running

_TEXT = (ROOT / "docs/gateway.md").read_text()
_COMMANDS = [
    command
    for example in examples()
    if example.place.startswith("docs/gateway.md") and example.language == "sh"
    for command in re.findall(r"otelbridge [^)\n]+", example.text.replace("\\\n", " "))
]
_MIB, _KIB = 1 << 20, 1 << 10


def _limit(name: str) -> str:
    """Return the value of a row of the table of limits."""
    (value,) = re.findall(rf"^\| {re.escape(name)} \| (.+?) \|", _TEXT, re.MULTILINE)
    return str(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sessions", f"{sessions.MAX_SESSIONS:,}"),
        ("sessions of one gateway", f"{sessions.MAX_SESSIONS_OF_ONE}"),
        ("streams of a session (calls in flight)", f"{yamux.Limits().max_streams:,}"),
        ("a message", f"{drpc.Limits().max_packet_bytes // _MIB} MiB"),
        (
            "memory of all sessions' streams, requests and unread answers",
            (
                f"{calls.MAX_HELD_BYTES // _MIB} MiB, of which one gateway may take as much as is "
                "still free"
            ),
        ),
        ("a stream without a whole request", f"{session.MAX_WAIT_S:g} s"),
        (
            "silence after a ping",
            (
                f"{yamux.Limits().ping_timeout_s:g} s; a ping is sent after each "
                f"{yamux.Limits().ping_interval_s:g} s"
            ),
        ),
        (
            "a WebSocket frame",
            (
                f"{connection.MAX_FRAME_BYTES // _KIB} KiB and {connection.MAX_FRAME_BYTES % _KIB} "
                "bytes"
            ),
        ),
        (
            "connections that are no session (yet)",
            f"{listener.MAX_CONNECTIONS:,}, and {listener.MAX_OF_ADDRESS} of one address",
        ),
        (
            "a request, TLS included",
            (
                f"{http_server.REQUEST_LIMIT_S:g} s each, and "
                f"{http_app.MAX_HEADER_BYTES // _KIB} KiB of headers"
            ),
        ),
    ],
)
def test_a_limit_is_the_one_in_force(name: str, value: str) -> None:
    assert _limit(name) == value


def test_every_kind_of_mistake_is_explained() -> None:
    table = _TEXT.partition("| `error.type` | What happened |")[2].partition("\n\n")[0]
    kinds = {*get_args(ProtocolErrorKind), "websocket", "memory", "unread", "idle"}

    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == kinds


def test_the_answers_are_those_of_the_endpoint() -> None:
    assert endpoint.PATH in _TEXT
    assert f"A newer one than {'.'.join(map(str, endpoint.API_VERSION))} " in _TEXT
    code = (ROOT / "otelbridge/transports/gateway/endpoint.py").read_text()
    for text in re.findall(r"`40[01] (.+?)`", _TEXT):
        assert f'"{text}"' in code


def _answers() -> set[tuple[int, str]]:
    """Return the table of answers: status and message, as far as the page tells it."""
    rows = re.findall(r"^\| (\d{3}) \| `?(.+?)`? \| .+ \|$", _TEXT, re.MULTILINE)
    return {(int(status), text.removesuffix(" …")) for status, text in rows}


async def test_the_table_of_answers_is_what_the_endpoint_answers() -> None:
    async with running(max_sessions=1) as world:
        trial = {"Host": "localhost", "X-Coder-AI-Governance-Gateway-Key": RIGHT_KEY}
        answers = [
            await world.handshake(version="version=2.0"),
            await world.handshake(Sec_WebSocket_Key="short"),
            await world.handshake(None),
            await world.handshake("x" * 43),
            await world.handshake(path="/elsewhere"),
            await world.ask(f"GET {endpoint.PATH}?version=1.0", trial),
            await world.handshake(X="y" * 17_000),
        ]
        async with peer(world):  # as many as are allowed
            answers.append(await world.handshake())
        guesses = [await world.handshake("x" * 43) for _ in range(110)]
        await eventually(lambda: not world.gateways.connected())
        begun = await world.handshake()

    found = [_row(answer) for answer in (*answers, guesses[-1])]
    assert begun.status == 101
    assert sorted(found) == sorted(_answers() - {(101, "none: the session begins")})


def _row(answer: Response) -> tuple[int, str]:
    """Return the row that tells of an answer."""
    message = answer.json["message"]
    (row,) = (row for row in _answers() if row[0] == answer.status and message.startswith(row[1]))
    return row


def test_a_final_answer_is_given_for_no_state_that_passes() -> None:
    final, passing = {400, 401, 403, 404}, {429, 503}
    assert "A gateway takes 400, 401, 403 and 404 for final" in _TEXT
    assert {status for status, _ in _answers()} == final - {403} | passing | {101, 426, 431}


def test_the_metrics_exist() -> None:
    named = set(re.findall(r"`((?:otelbridge|rpc)\.[a-z_.]+)`", _TEXT))

    assert len(named) >= 5
    assert named - {"rpc.system.name", "otelbridge.gateway"} <= INSTRUMENTS.keys()


@pytest.mark.parametrize("line", _COMMANDS)
def test_a_command_and_its_options_exist(line: str) -> None:
    command: click.Command | None = cli
    arguments = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), arguments.pop(0))

    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {each for each in arguments if each.startswith("--")} <= known


def test_there_are_commands() -> None:
    assert len(_COMMANDS) >= 2
