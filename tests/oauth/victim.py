"""A process that asks for a token, and kills itself at a step of it that it is told.

Run as ``python -m tests.oauth.victim TOKENS_JSON TOKEN_URL CA_PEM``. Each line
on standard input is a number N: a child is forked that asks for the token,
and is killed (SIGKILL) before the Nth thing that it does with files and
sockets; 0 is never. Standard output has the child's process id, "waits" if it
waits for the lock of another process, and then the hash of its token, or
"killed".
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import signal
import ssl
import sys
from pathlib import Path

from otelbridge.domain.access import Grant, McpServer, OAuth2Auth, Secret
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.tokens import AccessTokens
from otelbridge.store.token_file import TokenFile
from tests.oauth.world import ALICE, NOW_NS

#: What the interpreter audits of a refresh; the locks and the file in all its forms.
_STEPS = frozenset(
    {"open", "os.rename", "os.remove", "os.mkdir", "os.chown", "fcntl.flock", "socket.connect"}
)


def main() -> None:
    """Obey standard input."""
    path, token_url, ca = sys.argv[1:]
    for line in sys.stdin:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            _die_before(int(line), path)
            _tell_of_waiting()
            os.write(write, asyncio.run(_token_hash(Path(path), token_url, ca)).encode())
            os._exit(0)
        os.close(write)
        _say(str(pid))
        _, status = os.waitpid(pid, 0)
        answer = os.read(read, 100).decode() or "none"
        _say("killed" if os.WIFSIGNALED(status) else answer)
        os.close(read)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _die_before(step: int, path: str) -> None:
    left = step

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event not in _STEPS or (event == "open" and path not in str(args[0])):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if step:
        sys.addaudithook(hook)


def _tell_of_waiting() -> None:
    class Once(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "not acquired" in record.getMessage():
                logger.setLevel(logging.WARNING)
                _say("waits")

    logger = logging.getLogger("filelock")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(Once())


async def _token_hash(path: Path, token_url: str, ca: str) -> str:
    context = ssl.create_default_context(cafile=ca)
    http = OAuthHttp(timeout_s=20, context=context)
    tokens = AccessTokens(TokenFile(path), http, timeout_s=20, clock_ns=lambda: NOW_NS)
    auth = OAuth2Auth(grant=Grant.REFRESH_TOKEN, client_id="bridge", token_url=token_url)
    server = McpServer(id="github", url="https://mcp.example.com/mcp", auth=auth)
    answer = await tokens.acquire(server, ALICE)
    await tokens.close(20)
    text = answer.reveal() if isinstance(answer, Secret) else answer.text
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
