"""Store files for tests."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from otelbridge.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALICE = "7f1c2f6e-1111-4c4b-9d5a-0a0b0c0d0e0f"
BOB = "8a2d3f7e-2222-4c4b-9d5a-0a0b0c0d0e0f"
ALICE_SECRET = "S" * 22
ALICE_KEY = f"aliceKey01-{ALICE_SECRET}"
GATEWAY_KEY = "g" * 43


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


GATEWAY = f"""
[[gateway]]
name = "eu-1"
key_sha256 = "{sha256(GATEWAY_KEY)}"
"""
PEOPLE = f"""
[[user]]
id = "{ALICE}"
name = "alice"

[[user]]
id = "{BOB}"
name = "bob"
status = "active"
"""
KEYS = f"""
[[key]]
id = "aliceKey01"
user = "alice"
secret_sha256 = "{sha256(ALICE_SECRET)}"
expires_at = 2099-01-01T00:00:00Z
"""
OAUTH2 = """
[[mcp_server]]
id = "github"
url = "https://mcp.example.com/mcp"
[mcp_server.auth]
kind = "oauth2"
client_id = "client"
token_url = "https://login.example.com/token"
"""

MCP = '[[mcp_server]]\nid = "a"\nurl = "https://a.example.com"\n'
STATIC = MCP + '[mcp_server.auth]\nkind = "static"\n'
PROVIDER = '[[provider]]\nname = "p"\ntype = "t"\n'


def write_store(directory: Path, text: str, *, mode: int = 0o600) -> Path:
    path = directory / "store.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def open_store(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> Store:
    return Store.load(write_store(directory, text), environ or {})


def write_tokens(directory: Path, data: Any, *, mode: int = 0o600) -> Path:
    path = directory / "tokens.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    path.chmod(mode)
    return path
