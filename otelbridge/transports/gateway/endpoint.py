"""Who may open a session: the status table of the gateway's endpoint.

A stock gateway takes 400, 401, 403 and 404 for final and exits; it waits
longer and longer after 429 and 503. So a passing state is always one of those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from otelbridge.domain.access import WRONG_KEY, RefusedCallError, Secret
from otelbridge.errors import LimitExceededError, escaped
from otelbridge.transports.access import GATEWAY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelbridge.transports.access import Door

#: Where gateways connect.
PATH = "/api/v2/ai-gateway/serve"
#: The newest minor version of the API that is known here.
API_VERSION = (1, 2)
BUILD_VERSION = "x-coder-build-version"

_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")
_SERVER_VERSION = ".".join(map(str, API_VERSION))


class Visitor(NamedTuple):
    """A gateway that may open a session.

    Attributes:
        name: Its name in the store.
        key: The key that it showed, to be looked at again.
        version: The version of the API that it speaks, ``MAJOR.MINOR``.
        build: Its build, as it says; made safe for logs and labels.
    """

    name: str
    key: Secret
    version: str
    build: str

    @property
    def is_newer(self) -> bool:
        """Return whether it speaks a minor version that is not known here."""
        return tuple(map(int, self.version.split("."))) > API_VERSION


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no session is opened.

    Attributes:
        status: The HTTP status.
        body: The answer's JSON body.
    """

    status: int
    body: Mapping[str, object] = field(default_factory=dict)


class Endpoint:
    """Decides who may open a session.

    Args:
        door: Knows the gateways' keys, and counts who has none.
        is_ready: Whether sessions are taken: calls would be answered.
    """

    def __init__(self, door: Door, *, is_ready: Callable[[], bool]) -> None:
        self._door = door
        self._is_ready = is_ready

    def admit(self, headers: Mapping[str, str], query: str, *, peer: str) -> Visitor | Refusal:
        """Return who asks for a session, or why there is none.

        Args:
            headers: The request's headers; keys are looked up in lower case.
            query: The request's query string.
            peer: The caller's address, for the limit of wrong keys.
        """
        key = headers.get(GATEWAY_KEY, "")
        if not key:
            return Refusal(401, {"message": "AI Gateway key required."})
        caller = self._door.identify([(GATEWAY_KEY, key)])
        if not caller.gateway:
            return self._wrong_key(peer)
        version = parse_qs(query, keep_blank_values=True).get("version", [""])[0]
        problem = _version_problem(version)
        if problem:
            return _incompatible(version, problem)
        if not self._is_ready():
            return not_ready("not ready, try again")
        build = escaped(headers.get(BUILD_VERSION, ""))
        return Visitor(caller.gateway, Secret(key), version, build)

    def knows(self, visitor: Visitor) -> bool:
        """Return whether the key is still this gateway's."""
        return self._door.identify([(GATEWAY_KEY, visitor.key.reveal())]).gateway == visitor.name

    def _wrong_key(self, peer: str) -> Refusal:
        answer = self._door.turn_away(RefusedCallError(WRONG_KEY), peer)
        if isinstance(answer, LimitExceededError):
            return Refusal(429, {"message": f"{answer}."})
        return Refusal(401, {"message": "AI Gateway key invalid."})


def peer_address(found: object) -> str:
    """Return a socket's other end as gRPC writes it; empty for a Unix socket.

    Args:
        found: Host and port, and perhaps more; anything else for none.
    """
    if not isinstance(found, tuple):
        return ""
    host, port = found[:2]
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


def not_ready(reason: str) -> Refusal:
    """Return what answers while no session is taken; a gateway tries again."""
    return Refusal(503, {"message": "AI Gateway sessions are not taken now.", "detail": reason})


def _version_problem(version: str) -> str:
    match = _VERSION.fullmatch(version)
    if match is None:
        return f'"{escaped(version)}" is not of the form MAJOR.MINOR'
    if int(match[1]) != API_VERSION[0]:
        return f"major version {match[1]} is not served, only {API_VERSION[0]}"
    return ""


def _incompatible(version: str, problem: str) -> Refusal:
    details = {
        "version": problem,
        "client_api_version": escaped(version),
        "server_api_version": _SERVER_VERSION,
    }
    return Refusal(
        400,
        {
            "message": "Incompatible or unparsable version",
            "validations": [{"field": name, "detail": text} for name, text in details.items()],
        },
    )
