"""Canaries: what is secret leaves nowhere, what is content only where it was asked for."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import httpx2
import pytest
import pytest_asyncio

from otelbridge.proto import aibridged_pb2 as pb
from tests.collector import Answer, Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.interop.otlp import attributes
from tests.records import ALICE
from tests.store.files import sha256, write_store, write_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.e2e.bridges import Bridge

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Each is told apart by its end; keys have their own lengths.
USER_KEY = "aliceKey01-CANARYuserkeysecret001"
WRONG_KEY = "aliceKey01-CANARYwrongkeysecret01"
GATEWAY_KEY = "CANARYgatewaykey".ljust(43, "g")
WRONG_GATEWAY_KEY = "CANARYwronggateway".ljust(43, "w")
METRICS_TOKEN = "CANARYmetricstoken"
HEADER = "CANARYdestinationheader"
SECRETS = {
    "static token": "CANARYstatictoken",
    "own token": "CANARYowntoken",
    "login": "CANARYlogin",
    "client secret": "CANARYclientsecret",
    "provider key": "CANARYproviderkey",
    "bedrock key": "CANARYbedrockkey",
    "bedrock secret": "CANARYbedrocksecret",
    "user key": "CANARYuserkeysecret001",
    "wrong user key": "CANARYwrongkeysecret01",
    "gateway key": "CANARYgatewaykey",
    "wrong gateway key": "CANARYwronggateway",
    "metrics token": METRICS_TOKEN,
    "destination header": HEADER,
}
# What a record itself holds is in the journal until it is told, and never told.
UNTOLD = {
    "credential hint": "CANARYcredentialhint",
    "credential hint at the end": "CANARYhintattheend",
    "password in a URL": "CANARYurlpassword",
    "query of a URL": "CANARYurlquery",
}
CONTENT = {
    "prompt": "CANARYprompt",
    "tool input": "CANARYtoolinput",
    "thought": "CANARYthought",
    "error message": "CANARYerrormessage",
    "invocation error": "CANARYinvocationerror",
}
# What is neither, and must be found: else the scan looks at nothing.
PLAIN = {"model": "PLAINmodel", "tool": "PLAINtool", "session": "PLAINsession"}
STORE = f"""
[[gateway]]
name = "eu-1"
key_sha256 = "{sha256(GATEWAY_KEY)}"
[[user]]
id = "{ALICE}"
name = "alice"
[[key]]
id = "aliceKey01"
user = "alice"
secret_sha256 = "{sha256(SECRETS["user key"])}"
[[mcp_server]]
id = "static"
url = "https://static.example.com/mcp"
[mcp_server.auth]
kind = "static"
token = "{SECRETS["static token"]}"
[[mcp_server]]
id = "own"
url = "https://own.example.com/mcp"
[mcp_server.auth]
kind = "static"
tokens = {{ alice = "{SECRETS["own token"]}" }}
[[mcp_server]]
id = "oauth"
url = "https://oauth.example.com/mcp"
[mcp_server.auth]
kind = "oauth2"
client_id = "bridge"
client_secret = "{SECRETS["client secret"]}"
token_url = "https://login.example.com/token"
[[provider]]
name = "anthropic"
type = "anthropic"
keys = ["{SECRETS["provider key"]}"]
[provider.bedrock]
access_key = "{SECRETS["bedrock key"]}"
access_key_secret = "{SECRETS["bedrock secret"]}"
"""


@dataclass(frozen=True, slots=True)
class Traces:
    """What a session left behind, in bytes.

    Attributes:
        exported: Every request that the collector got.
        elsewhere: /metrics, readiness, errors and the log.
        journal: The journal's files: while it ran, and when it was closed.
    """

    exported: bytes
    elsewhere: bytes
    journal: bytes


def records(interception: str) -> list[Message]:
    """Return a whole interception full of canaries."""
    url = f"https://user:{UNTOLD['password in a URL']}@h/mcp?key={UNTOLD['query of a URL']}"
    hint, hint_at_end = UNTOLD["credential hint"], UNTOLD["credential hint at the end"]
    return [
        gw.start(
            interception,
            model=PLAIN["model"],
            credential_kind="byok",
            credential_hint=hint,
            client_session_id=PLAIN["session"],
        ),
        gw.tokens(interception, input_tokens=1),
        gw.prompt(interception, prompt=CONTENT["prompt"]),
        gw.tool(
            interception,
            tool=PLAIN["tool"],
            input=f'"{CONTENT["tool input"]}"',
            injected=True,
            server_url=url,
            invocation_error=CONTENT["invocation error"],
        ),
        gw.thought(interception, content=CONTENT["thought"]),
        gw.end(
            interception,
            error_type="unauthorized",
            error_message=CONTENT["error message"],
            credential_hint=hint_at_end,
        ),
    ]


class Log(logging.Handler):
    """Every line that is logged, by whomever, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(self.format(record))


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Yield the lines that are logged meanwhile, at every level."""
    log, root = Log(), logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    try:
        yield log.lines
    finally:
        root.setLevel(level)
        root.removeHandler(log)


def settings(collector: Collector, capture: str) -> dict[str, Any]:
    """Return settings with a destination of either protocol."""
    endpoints = {"grpc": collector.grpc_endpoint, "http/protobuf": collector.http_endpoint}
    return {
        "assembly": {"grace_s": 0.02},
        "auth": {"metrics_token": METRICS_TOKEN},
        "content": {"capture": capture},
        "telemetry": {"events": "both"},
        "destination": [
            {
                "name": protocol[:4],
                "protocol": protocol,
                "endpoint": endpoint,
                "headers": {"authorization": f"Bearer {HEADER}"},
            }
            for protocol, endpoint in endpoints.items()
        ],
    }


async def ask_everything(bridge: Bridge) -> str:
    """Call what hands out secrets, rightly and wrongly; return the texts of the errors."""
    servers = ["static", "own", "oauth", "none"]
    batch = pb.GetMCPServerAccessTokensBatchRequest(
        user_id=str(ALICE), mcp_server_config_ids=servers
    )
    await gw.send(bridge, pb.IsAuthorizedRequest(key=USER_KEY))
    for request in (batch, pb.GetAIProvidersRequest()):
        await gw.send(bridge, request, key=GATEWAY_KEY)
    errors = [
        await gw.refusal(bridge, pb.IsAuthorizedRequest(key=WRONG_KEY)),
        await gw.refusal(bridge, pb.IsAuthorizedRequest(key=f"x{USER_KEY}")),
        await gw.refusal(bridge, pb.IsAuthorizedRequest(key=USER_KEY, key_id="x")),
        await gw.refusal(bridge, batch),
        await gw.refusal(bridge, batch, key=WRONG_GATEWAY_KEY),
        await gw.refusal(bridge, gw.prompt("x", prompt=CONTENT["prompt"])),
        await gw.refusal_of_bytes(
            bridge, "Recorder/RecordPromptUsage", CONTENT["prompt"].encode() + b"\xff"
        ),
        await gw.refusal_of_bytes(bridge, "Authorizer/IsAuthorized", USER_KEY.encode() + b"\xff"),
    ]
    return str(errors)


async def pages(bridge: Bridge) -> str:
    """Return what HTTP tells, with the right token and a wrong one."""
    found = []
    async with httpx2.AsyncClient(trust_env=False) as client:
        for token in (METRICS_TOKEN, f"{METRICS_TOKEN}x"):
            headers = {"authorization": f"Bearer {token}"}
            found += [
                (
                    await client.get(f"{bridge.server.addresses['http']}/{page}", headers=headers)
                ).text
                for page in ("metrics", "readyz")
            ]
    return "".join(found)


def journal(directory: Path) -> bytes:
    """Return the bytes of the journal's files."""
    return b"".join(path.read_bytes() for path in directory.glob("journal.db*") if path.is_file())


async def session(bridge: Bridge, directory: Path) -> tuple[str, bytes]:
    """Send everything, in time and late; return texts that were read and the journal's bytes."""
    interception = gw.fresh_id()
    texts = await ask_everything(bridge)
    await gw.send(bridge, *records(interception))
    kept = journal(directory)
    await bridge.collector.wait_for(lambda c: len(gw.chat_spans(c, interception)) == 2)
    await gw.send(bridge, *records(interception)[1:])
    # At each of two destinations three events and five late records.
    await bridge.collector.wait_for(lambda c: len(c.logs) == 16)
    return texts + await pages(bridge), kept + journal(directory)


async def leave_traces(directory: Path, capture: str) -> Traces:
    """Run a bridge and a session full of canaries; return what was left."""
    write_store(directory, STORE)
    write_tokens(directory, {"oauth": {str(ALICE): {"access_token": SECRETS["login"]}}})
    with everything_logged() as lines:
        async with Collector() as collector:
            collector.script(Answer(code=grpc.StatusCode.UNAUTHENTICATED, http_status=401))
            async with running(directory, collector, settings(collector, capture)) as bridge:
                texts, kept = await session(bridge, directory)
    exported = b"".join(request.body for request in collector.requests)
    headers = {request.headers["authorization"] for request in collector.requests}
    assert headers == {f"Bearer {HEADER}"}
    texts += "\n".join(lines)
    return Traces(exported, texts.encode(), kept + journal(directory))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def silent(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    """Return what a bridge leaves that tells no content."""
    return await leave_traces(tmp_path_factory.mktemp("silent"), "NO_CONTENT")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def telling(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    """Return what a bridge leaves that tells all content."""
    return await leave_traces(tmp_path_factory.mktemp("telling"), "SPAN_AND_EVENT")


@pytest.mark.parametrize("name", [*SECRETS, *UNTOLD])
async def test_a_secret_leaves_nowhere_and_in_no_mode(
    silent: Traces, telling: Traces, name: str
) -> None:
    secret = {**SECRETS, **UNTOLD}[name].encode()

    assert secret not in silent.exported + telling.exported
    assert secret not in silent.elsewhere + telling.elsewhere


@pytest.mark.parametrize("name", SECRETS)
async def test_a_secret_is_not_in_the_journal(silent: Traces, telling: Traces, name: str) -> None:
    assert SECRETS[name].encode() not in silent.journal + telling.journal


@pytest.mark.parametrize("name", CONTENT)
async def test_content_that_nobody_may_have_leaves_nowhere(silent: Traces, name: str) -> None:
    assert CONTENT[name].encode() not in silent.exported + silent.elsewhere


@pytest.mark.parametrize("name", CONTENT)
async def test_content_that_nobody_may_have_is_not_kept(silent: Traces, name: str) -> None:
    assert CONTENT[name].encode() not in silent.journal


async def test_words_of_a_failure_that_are_not_kept_still_name_its_type(tmp_path: Path) -> None:
    interception = gw.fresh_id()
    failed = gw.tool(interception, invocation_error="context deadline exceeded")
    over = gw.end(interception, error_message="overloaded, try later")

    async with Collector() as collector, running(tmp_path, collector) as bridge:
        await gw.send(bridge, over, failed, gw.start(interception))
        span = await gw.told(bridge, interception)

    assert attributes(span.attributes)["error.type"] == "_OTHER"
    assert (span.status.code, span.status.message) == (span.status.STATUS_CODE_ERROR, "")
    assert attributes(span.events[0].attributes)["error.type"] == "timeout"


@pytest.mark.parametrize("name", CONTENT)
async def test_content_that_was_asked_for_is_exported_and_nothing_else(
    telling: Traces, name: str
) -> None:
    assert CONTENT[name].encode() in telling.exported
    assert CONTENT[name].encode() not in telling.elsewhere


@pytest.mark.parametrize("name", PLAIN)
async def test_what_is_neither_is_found_by_the_scan(
    silent: Traces, telling: Traces, name: str
) -> None:
    plain = PLAIN[name].encode()

    assert plain in silent.exported
    assert plain in telling.exported
    assert (plain in silent.elsewhere) == (name != "session")
    assert plain in silent.journal


async def test_the_log_is_listened_to() -> None:
    with everything_logged() as lines:
        logging.getLogger("otelbridge.any").debug("a line")

    assert lines == ["a line"]
