"""The control socket: how commands ask a running bridge, as its own user alone."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx2
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from otelbridge.errors import ConfigError, OtelBridgeError
from otelbridge.transports.http_app import ERROR_HANDLERS
from otelbridge.transports.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    #: Returns what JSON can hold; given the query's parameters.
    Answer: TypeAlias = Callable[[Mapping[str, str]], Any | Awaitable[Any]]

logger = logging.getLogger(__name__)

# A socket's path may have 107 bytes on Linux and 103 on macOS.
_MAX_PATH_BYTES = 100
_ANSWER_LIMIT_S = 10.0


def control_path(journal: Path) -> Path:
    """Return the control socket of the bridge that uses this journal.

    It lies beside the journal. A path that is too long for a socket goes to
    the user's run-time directory, under a name that both sides derive.
    """
    beside = Path(f"{journal.absolute()}.sock")
    if len(os.fsencode(beside)) <= _MAX_PATH_BYTES:
        return beside
    name = hashlib.sha256(os.fsencode(beside)).hexdigest()[:32]
    return _run_time_directory() / f"{name}.sock"


class ControlServer:
    """Answers commands on a Unix socket of mode 0600.

    Only the holder of the journal's lock may start it: a socket that is
    there already is a dead process's, and is removed.
    """

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        """Create a server that does not listen yet.

        Args:
            path: Where the socket is made; see `control_path`.
            answers: What is answered, by name: ``usage`` is asked as ``/usage``.
        """
        self._path = path
        self._answers = answers
        self._server: HttpServer | None = None

    async def start(self) -> None:
        """Listen and serve.

        Raises:
            ConfigError: If the socket cannot be made.
        """
        routes = [Route(f"/{name}", _endpoint(answer)) for name, answer in self._answers.items()]
        app = Starlette(routes=routes, exception_handlers=ERROR_HANDLERS)
        self._server = HttpServer(app, [_bind(self._path)])
        await self._server.start()

    async def stop(self) -> None:
        """Close and remove the socket."""
        if self._server is not None:
            self._path.unlink(missing_ok=True)
            await self._server.stop()


def ask(path: Path, name: str, /, **parameters: str) -> Any:
    """Ask the bridge behind a control socket; None if no bridge listens there.

    Raises:
        OtelBridgeError: If it answers with an error, or not within 10 s.
    """
    if not _is_listening(path):
        return None
    transport = httpx2.HTTPTransport(uds=str(path))
    try:
        with httpx2.Client(transport=transport, timeout=_ANSWER_LIMIT_S) as client:
            response = client.get(f"http://localhost/{name}", params=parameters)
    except httpx2.HTTPError as error:
        raise OtelBridgeError(f"{path}: the bridge does not answer: {error}") from None
    body = response.json()
    if response.is_success:
        return body
    raise OtelBridgeError(body["error"])


def _endpoint(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            found = answer(request.query_params)
            if inspect.isawaitable(found):
                found = await found
        except OtelBridgeError as error:
            return JSONResponse({"error": str(error)}, status_code=500)
        return Response(json.dumps(found, default=str), media_type="application/json")

    return endpoint


def _bind(path: Path) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # 0600 from the first moment on
    try:
        path.unlink(missing_ok=True)
        opened.bind(str(path))
    except OSError as error:
        opened.close()
        raise ConfigError("journal.url", f"{path}: {error.strerror}") from None
    finally:
        os.umask(before)
    return opened


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _run_time_directory() -> Path:
    """Return a directory that this user alone can write to.

    Raises:
        ConfigError: If somebody else has made it.
    """
    user = os.getuid()
    login = Path(f"/run/user/{user}")
    if login.is_dir() and os.access(login, os.W_OK):
        return login
    own = Path(f"/tmp/otelbridge-{user}")  # noqa: S108  # checked below
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077:
        raise ConfigError("journal.url", f"{own} is not a directory of this user alone")
    return own
