"""What a gateway asks of a bridge: a store with something of everything, and slow tokens."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from otelbridge.proto import aibridged_pb2 as pb
from tests.e2e.bridges import samples_of
from tests.interop.bridge import Bridge
from tests.store.files import ALICE, ALICE_SECRET, GATEWAY, PEOPLE, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY_ID = "aliceKey02"
ALICE_KEY = f"{KEY_ID}-{ALICE_SECRET}"
#: MCP servers whose tokens come when the test says so.
HELD = tuple(f"held-{n}" for n in range(10))
HELD_TOKEN = "held-token"
#: API keys of 800 kB together: their answer takes more than three windows and messages.
LARGE_KEYS = tuple(f"{n:04}".ljust(2000, "x") for n in range(400))

_STORE = f"""{GATEWAY}{PEOPLE}
[[key]]
id = "{KEY_ID}"
user = "alice"
secret_sha256 = "{sha256(ALICE_SECRET)}"

[[budget]]
user = "*"
limit_usd = "50.00"
period = "month"

[[provider]]
name = "anthropic"
type = "anthropic"
base_url = "https://api.anthropic.com/"
keys = {list(LARGE_KEYS)}

[[mcp_server]]
id = "docs"
url = "https://docs.example.com/mcp"
tool_allow_regex = "^get_"
[mcp_server.auth]
kind = "static"
token = "docs-token"
"""
_HELD = """
[[mcp_server]]
id = "{server}"
url = "https://held.example.com/mcp"
[mcp_server.auth]
kind = "oauth2"
grant = "client_credentials"
client_id = "bridge"
client_secret = "secret"
token_url = "{url}/{server}"
"""
#: What counts records.
RECEIVED = "otelbridge_records_received_total"
ANOTHER_PROVIDER = '[[provider]]\nname = "another"\ntype = "openai"\n'
# It is expired at once, so that the next call asks again.
_TOKEN = b'{"access_token": "held-token", "token_type": "Bearer", "expires_in": 1}'
# The usual 5 s for a token would end a call that a slow machine holds for longer.
_SETTINGS = "[mcp]\ntimeout_s = 30.0\n"


class HeldTokens(ThreadingHTTPServer):
    """An authorization server on loopback; what it is asked while it is held, it answers later."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _TokenHandler)
        self._changed = threading.Condition()
        self._is_held = False
        self._waiting = 0
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where tokens are asked for; below it, any path."""
        return f"http://127.0.0.1:{self.server_port}"

    def hold(self) -> None:
        """Answer no more."""
        with self._changed:
            self._is_held = True

    def release(self) -> None:
        """Answer what is waiting, and what comes."""
        with self._changed:
            self._is_held = False
            self._changed.notify_all()

    def await_requests(self, number: int) -> None:
        """Return as soon as so many requests wait for their answer."""
        with self._changed:
            enough = self._changed.wait_for(lambda: self._waiting >= number, 20.0)
            assert enough, f"{self._waiting} requests wait, not {number}"

    def await_release(self) -> None:
        """Return when a request may be answered."""
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_held)
            self._waiting -= 1

    def close(self) -> None:
        """Stop it."""
        self.release()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _TokenHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, HeldTokens)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.await_release()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(_TOKEN)))
        self.end_headers()
        self.wfile.write(_TOKEN)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def store_text(tokens_url: str) -> str:
    """Return a store file whose held tokens come from there."""
    return _STORE + "".join(_HELD.format(server=server, url=tokens_url) for server in HELD)


def start_served_bridge(folder: Path, tokens_url: str) -> Bridge:
    """Start a bridge with this store and without a destination."""
    return Bridge(folder, store=store_text(tokens_url), settings=_SETTINGS)


def token_request(*servers: str) -> pb.GetMCPServerAccessTokensBatchRequest:
    """Return a request for Alice's tokens."""
    return pb.GetMCPServerAccessTokensBatchRequest(user_id=ALICE, mcp_server_config_ids=servers)


def held_answer(*servers: str) -> bytes:
    """Return the answer to such a request for held tokens."""
    tokens = dict.fromkeys(servers, HELD_TOKEN)
    return pb.GetMCPServerAccessTokensBatchResponse(access_tokens=tokens).SerializeToString()


def total(bridge: Bridge, name: str, **labels: str) -> float:
    """Return the sum of a counter's series that have these labels."""
    samples = samples_of(bridge.metrics_page()).items()
    wanted = labels.items()
    return sum(value for (found, having), value in samples if found == name and wanted <= having)


def check_more(count: Callable[[], float], before: float) -> None:
    """Check that a count has risen: of calls, it is told once a second."""
    assert count() > before
