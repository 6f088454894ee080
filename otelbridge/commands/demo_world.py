"""The demonstration's own world: its session, and the files of a bridge that knows its people."""

from __future__ import annotations

import hashlib
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import tomlkit
from google.protobuf.struct_pb2 import Value

from otelbridge.config import Config, build_config
from otelbridge.store import new_gateway_key
from otelbridge.transports.capture import read_capture
from otelbridge.transports.fresh import freshened

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelbridge.transports.capture import CapturedCall

_CAPTURES = ("agent-session-paced.jsonl", "injected-tools-paced.jsonl")
# The session is sent faster than recorded, and so is what is waited for after it.
_GRACE_S = 0.5


def session(now_ns: int) -> list[CapturedCall]:
    """Return the session: two captures of a real gateway, side by side, with fresh ids."""
    calls: list[CapturedCall] = []
    for name in _CAPTURES:
        with as_file(files("otelbridge") / "data" / name) as path:
            calls += freshened(read_capture(path), now_ns=now_ns)
    return sorted(calls, key=lambda call: call.at_s)


def make_world(folder: Path, calls: Iterable[CapturedCall], endpoint: str) -> tuple[Config, str]:
    """Write a store that knows the session's users, keys and tools.

    Args:
        folder: Where to; nobody else may read it.
        calls: The session.
        endpoint: Where telemetry is delivered to.

    Returns:
        The settings, and the gateway's key.
    """
    gateway_key = new_gateway_key()
    gateway = {"name": "demo", "key_sha256": gateway_key.key_sha256}
    store = folder / "store.toml"
    store.touch(mode=0o600)
    store.write_text(tomlkit.dumps({"gateway": [gateway], **_tables(list(calls))}))
    settings = {
        "listen": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0", "drain_s": 2.0},
        "assembly": {"grace_s": _GRACE_S},
        "metrics": {"interval_s": 1.0},
        "destination": [{"name": "demo", "protocol": "grpc", "endpoint": endpoint}],
    }
    return build_config(settings, {}, base=folder), gateway_key.key.reveal()


def _tables(calls: list[CapturedCall]) -> dict[str, Any]:
    """Return the tables of a store in which the session's calls succeed."""
    requests: list[Any] = [call.request for call in calls]
    secrets = dict(
        request.key.split("-", 1) for request in requests if hasattr(request, "key") and request.key
    )
    owners = {
        request.api_key_id: (request.initiator_id, _username(request))
        for request in requests
        if hasattr(request, "api_key_id")
    }
    servers = sorted(
        {name for request in requests for name in getattr(request, "mcp_server_config_ids", ())}
    )
    return {
        "user": [{"id": user, "name": name} for user, name in sorted(set(owners.values()))],
        "key": [
            {"id": key, "user": owners[key][1], "secret_sha256": _sha256(secret)}
            for key, secret in secrets.items()
            if key in owners
        ],
        "mcp_server": [
            {
                "id": name,
                "url": f"http://127.0.0.1/mcp/{name}",
                "auth": {"kind": "static", "token": "of no use"},
            }
            for name in servers
        ],
    }


def _username(start: Any) -> str:
    name = Value()
    start.metadata["Username"].Unpack(name)
    return name.string_value


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
