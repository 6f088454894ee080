"""What ``otelbridge doctor`` learns from backends, and from the clocks of servers."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from otelbridge.commands.doctoring.backends import jaeger_findings, prometheus_findings
from otelbridge.commands.doctoring.clock import clock_findings, own_clock_finding, skew_of
from otelbridge.commands.doctoring.destinations import advice_for, told_findings
from otelbridge.commands.doctoring.running import Running
from otelbridge.config import build_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from otelbridge.config import Config

CANARY = "0f37d83d-1111-4222-8333-444455556666"
TRACE = CANARY.replace("-", "")
PASSWORD = "hunter2"

Reply = tuple[int, str]


class Backend:
    """A server that answers what it is told to.

    Attributes:
        url: Where it is.
        requests: Method and path of what came.
    """

    def __init__(self, reply: Callable[[str], Reply], headers: Mapping[str, str]) -> None:
        self._reply = reply
        self._headers = headers
        self.url = ""
        self.requests: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        self.requests.append(f"{method} {path}")
        status, body = self._reply(path)
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        writer.write(("\r\n".join(lines) + f"\r\n\r\n{'' if method == 'HEAD' else body}").encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def backend(
    reply: Callable[[str], Reply] = lambda _: (404, ""), **headers: str
) -> AsyncIterator[Backend]:
    made = Backend(reply, headers)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made


def with_password(url: str) -> str:
    return url.replace("://", f"://me:{PASSWORD}@")


def config_of(tmp_path: Path, endpoint: str) -> Config:
    headers = {"authorization": PASSWORD}
    destination = {"name": "sink", "endpoint": endpoint, "headers": headers}
    destination |= {"protocol": "http/protobuf"}
    return build_config({"destination": [destination]}, {}, base=tmp_path)


def metric(age_s: float) -> Reply:
    result = [{"metric": {}, "value": [0, str(age_s)]}]
    return 200, json.dumps({"status": "success", "data": {"result": result}})


async def looked_up(url: str, limit_s: float = 0.0) -> tuple[str, str]:
    shown: list[str] = []
    (found,) = await jaeger_findings(url, CANARY, limit_s=limit_s, show=shown.append)
    assert found.area == "jaeger"
    assert PASSWORD not in f"{found} {shown}"
    return found.level.value, found.message


async def test_a_canary_is_read_back() -> None:
    async with backend(lambda _: (200, '{"key": "otelbridge.canary"}')) as jaeger:
        found = await looked_up(with_password(jaeger.url))

    assert found == ("ok", f"it has the canary's span, in trace {TRACE}")
    assert jaeger.requests == [f"GET /api/v3/traces/{TRACE}"]


async def test_the_older_api_is_asked_too() -> None:
    answers = {f"/api/traces/{TRACE}": (200, '{"key": "otelbridge.canary"}')}
    async with backend(lambda path: answers.get(path, (404, ""))) as jaeger:
        level, _ = await looked_up(jaeger.url)

    assert level == "ok"


async def test_a_canary_that_comes_late_is_waited_for() -> None:
    came: list[str] = []

    def reply(path: str) -> Reply:
        came.append(path)
        return (200, "otelbridge.canary") if len(came) > 4 else (404, "")

    async with backend(reply) as jaeger:
        level, _ = await looked_up(jaeger.url, limit_s=20.0)

    assert level == "ok"


@pytest.mark.parametrize(
    ("reply", "problem"),
    [((404, ""), "it answers 404"), ((200, "[]"), "the answer has no canary")],
)
async def test_a_canary_that_is_not_there_is_a_failure(reply: Reply, problem: str) -> None:
    async with backend(lambda _: reply) as jaeger:
        found = await looked_up(jaeger.url)

    assert found == ("failure", f"it has no span of trace {TRACE}: {problem}")


async def test_a_jaeger_that_is_not_there_is_a_failure() -> None:
    level, message = await looked_up(with_password("http://127.0.0.1:9"))

    assert level == "failure"
    assert "no answer" in message


@pytest.mark.parametrize(
    ("reply", "level", "text"),
    [
        (metric(12), "ok", "otelbridge's newest metric is 12 s old"),
        (metric(200), "warning", "otelbridge's newest metric is 200 s old"),
        (
            (200, '{"data": {"result": []}}'),
            "failure",
            "it has no metric of otelbridge of the last minutes",
        ),
        ((200, "hello"), "failure", "it cannot be asked: the answer is none of its API"),
        ((401, ""), "failure", "it cannot be asked: it answers 401"),
    ],
)
async def test_metrics_must_be_there_and_fresh(reply: Reply, level: str, text: str) -> None:
    async with backend(lambda _: reply) as prometheus:
        (found,) = await prometheus_findings(with_password(prometheus.url))

    assert (found.level.value, found.message) == (level, text)
    assert PASSWORD not in str(found)


@pytest.mark.parametrize(
    ("ahead_s", "level"),
    [(0, "ok"), (4, "ok"), (30, "warning"), (-30, "warning"), (90, "failure"), (-90, "failure")],
)
async def test_a_destination_s_clock_is_compared(
    tmp_path: Path, ahead_s: float, level: str
) -> None:
    async with backend(date=formatdate(time.time() + ahead_s, usegmt=True)) as sink:
        config = config_of(tmp_path, f"{sink.url}/otlp")
        (found,) = await clock_findings(config, [])

    assert (found.subject, found.level.value) == ("destination sink", level), found
    assert sink.requests == ["HEAD /"]


async def test_a_backend_s_clock_is_compared_without_its_password(tmp_path: Path) -> None:
    async with backend(date=formatdate(time.time() - 600, usegmt=True)) as jaeger:
        (found,) = await clock_findings(
            build_config({}, {}, base=tmp_path), [with_password(jaeger.url)]
        )

    assert found.level.value == "failure"
    assert "behind this machine's" in found.message
    assert PASSWORD not in str(found)


@pytest.mark.parametrize("date", [{}, {"date": "yesterday"}])
async def test_without_any_server_s_time_it_says_so(tmp_path: Path, date: dict[str, str]) -> None:
    async with backend(lambda _: (404, ""), **date) as sink:
        (found,) = await clock_findings(config_of(tmp_path, sink.url), [])

    assert (found.level.value, found.subject) == ("ok", "")
    assert found.message.startswith("no server tells its time")


def test_what_a_date_cannot_tell_is_no_difference() -> None:
    date = formatdate(1_000_000_000, usegmt=True)

    assert skew_of(date, before_s=1_000_000_000.0, after_s=1_000_000_001.0) == 0
    assert skew_of(date, before_s=1_000_000_020.0, after_s=1_000_000_020.0) == -19
    assert skew_of(date, before_s=999_999_990.0, after_s=999_999_990.0) == 10


@pytest.mark.parametrize(("behind_s", "level"), [(0, "ok"), (20, "warning")])
def test_a_clock_that_was_set_since_the_start_is_told(behind_s: int, level: str) -> None:
    running = Running({}, time.time_ns() - behind_s * 10**9, {})

    assert own_clock_finding(running).level.value == level


def test_destinations_that_the_running_bridge_does_not_have_are_told(tmp_path: Path) -> None:
    running = Running({}, 0, {"old": None})

    found = list(told_findings(config_of(tmp_path, "http://127.0.0.1:9"), running))

    assert [(f.subject, f.level.value) for f in found] == [
        ("old", "ok"),
        ("old", "warning"),
        ("sink", "warning"),
    ]


@pytest.mark.parametrize(
    ("error", "setting"),
    [
        ("traces: grpc_unauthenticated: no", "`headers`"),
        ("http_403: no", "`headers`"),
        ("metrics: connection: refused", "is it running"),
        ("traces: grpc_deadline_exceeded: slow", "is it running"),
        ("logs: http_404: no", "something else than OTLP"),
        ("traces: grpc_unimplemented: no", "something else than OTLP"),
        ("traces: http_503: later", "its own limits"),
        ("traces: grpc_internal: bug", "its own log"),
    ],
)
def test_an_error_of_a_destination_leads_to_what_may_be_wrong(error: str, setting: str) -> None:
    assert setting in advice_for(error)
