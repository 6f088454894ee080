"""Canaries: a session full of secrets and content, and everything that it leaves behind."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import httpx2

from otelbridge.proto import aibridged_pb2 as pb
from tests.collector import Answer, Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.records import ALICE
from tests.store.files import sha256, write_store, write_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.e2e.bridges import Bridge

# Each is told apart by its end; keys have their own lengths.
USER_KEY = "aliceKey01-CANARYuserkeysecret001"
WRONG_KEY = "aliceKey01-CANARYwrongkeysecret01"
GATEWAY_KEY = "CANARYgatewaykey".ljust(43, "g")
WRONG_GATEWAY_KEY = "CANARYwronggateway".ljust(43, "w")
METRICS_TOKEN = "CANARYmetricstoken"
HEADER = "CANARYdestinationheader"
FINGERPRINT_KEY = "CANARYfingerprintkey"
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
    "key of the fingerprints": FINGERPRINT_KEY,
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
#: The content that is told, by mode.
TOLD = {
    "NO_CONTENT": set[str](),
    "SPAN_ONLY": {*CONTENT},
    "EVENT_ONLY": {"prompt", "tool input", "thought"},
    "SPAN_AND_EVENT": {*CONTENT},
}
# Tokens of a known format, in free text: told as markers, in every mode. Each is told apart.
TOKENS = {
    place: "ghp_" + f"CANARY{place.replace(' ', '')}".ljust(36, "0")
    for place in (
        *("prompt", "tool input", "escaped input", "thought", "error message"),
        *("invocation error", "metadata", "nested metadata", "metadata key", "event metadata"),
        *("user agent", "session", "model", "client", "tool", "URL path"),
    )
}
# Those that are content, which is kept until it is told.
KEPT = {"prompt", "tool input", "escaped input", "thought", "error message", "invocation error"}
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


# Without a repr: asyncio makes one of what its task returned, and these are megabytes.
@dataclass(frozen=True, slots=True, repr=False)
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
    secret = f"user:{UNTOLD['password in a URL']}@h/{TOKENS['URL path']}"
    url = f"https://{secret}?key={UNTOLD['query of a URL']}"
    hint, hint_at_end = UNTOLD["credential hint"], UNTOLD["credential hint at the end"]
    words = {place: f"{CONTENT.get(place)} {token}" for place, token in TOKENS.items()}
    tool_input = {"command": words["tool input"], "lines": f"\n{TOKENS['escaped input']}\n"}
    return [
        gw.start(
            interception,
            model=f"{PLAIN['model']} {TOKENS['model']}",
            client=f"a client {TOKENS['client']}",
            user_agent=f"cli/1 {TOKENS['user agent']}",
            credential_kind="byok",
            credential_hint=hint,
            client_session_id=f"{PLAIN['session']} {TOKENS['session']}",
            metadata=gw.metadata(
                note=TOKENS["metadata"],
                deep={"a": ["", f"\n{TOKENS['nested metadata']}"]},
                **{f"key {TOKENS['metadata key']}": 1},
            ),
        ),
        gw.tokens(interception, input_tokens=1),
        gw.prompt(
            interception, prompt=words["prompt"], metadata=gw.metadata(x=TOKENS["event metadata"])
        ),
        gw.tool(
            interception,
            tool=f"{PLAIN['tool']} {TOKENS['tool']}",
            input=json.dumps(tool_input),
            injected=True,
            server_url=url,
            invocation_error=words["invocation error"],
        ),
        gw.thought(interception, content=words["thought"]),
        gw.end(
            interception,
            error_type="unauthorized",
            error_message=words["error message"],
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
        "content": {"capture": capture, "fingerprint_key": FINGERPRINT_KEY},
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
