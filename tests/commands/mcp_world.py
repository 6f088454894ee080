"""An installation whose MCP servers need logins, and a user with a browser."""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx2
from click.testing import CliRunner

from otelbridge.cli import cli
from tests.commands.programs import Done, ended, run, start
from tests.store.files import ALICE, BOB, PEOPLE, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.oauth.authorization_server import Authority
    from tests.oauth.login_server import LoginServer

__all__ = ["ALICE", "BOB", "OTHER_SERVERS", "SECRET", "Installation", "oauth2", "secrets_of"]

OTHER_SERVERS = """
[[mcp_server]]
id = "docs"
url = "https://docs.example.com"
[mcp_server.auth]
kind = "static"
token = { env = "NOT_SET_HERE" }

[[mcp_server]]
id = "open"
url = "https://open.example.com"

[[mcp_server]]
id = "robots"
url = "https://robots.example.com"
[mcp_server.auth]
kind = "oauth2"
grant = "client_credentials"
client_id = "c"
client_secret = { env = "NOT_SET_HERE" }
token_url = "https://login.example.com/token"

[[mcp_server]]
id = "secretive"
url = "https://s.example.com"
[mcp_server.auth]
kind = "oauth2"
client_id = "c"
client_secret = { env = "NOT_SET_HERE" }
token_url = "https://login.example.com/token"
authorization_url = "https://login.example.com/authorize"
"""
SECRET = "s3cret-of-the-client"
# Keeps its arguments, then opens the page and whatever that sends it to.
_BROWSER = """\
#!{python}
import sys, urllib.request
from pathlib import Path
Path({kept!r}).write_text("\\n".join(sys.argv))
print("a browser's chatter")
urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(sys.argv[1]).read()
"""


def oauth2(server: LoginServer, **fields: str) -> str:
    """Return a table of an MCP server; fields are TOML values, empty to leave one out."""
    values = {
        "client_id": '"bridge"',
        "issuer": f'"{server.url()}"',
        "scopes": '["repo"]',
        **fields,
    }
    lines = "\n".join(f"{name} = {value}" for name, value in values.items() if value)
    return (
        f'[[mcp_server]]\nid = "github"\nurl = "{server.url("/mcp")}"\n'
        f'[mcp_server.auth]\nkind = "oauth2"\n{lines}\n'
    )


class _Browser(webbrowser.BaseBrowser):
    """The browser of commands that run in this process."""

    def __init__(self, authority: Authority) -> None:
        super().__init__("tests")
        self._authority = authority

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:  # noqa: ARG002, FBT002  # as the base
        with (
            suppress(httpx2.TransportError),  # the command may have ended
            httpx2.Client(
                verify=self._authority.client, trust_env=False, follow_redirects=True
            ) as browser,
        ):
            browser.get(url)
        return True


class Installation:
    """A folder with settings and a store, and the commands that are run there.

    Attributes:
        env: The operator's shell has these variables besides.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.authority = authority
        self.env = {"SSL_CERT_FILE": str(authority.path)}
        (folder / "otelbridge.toml").touch()

    @property
    def tokens(self) -> Path:
        """Return where logins are kept."""
        return self.folder / "tokens.json"

    @property
    def browser_arguments(self) -> Path:
        """Return where the browser kept its arguments."""
        return self.folder / "browser.arguments"

    def store(self, *tables: str) -> None:
        """Write the store: alice, bob, and these tables."""
        write_store(self.folder, "\n".join((PEOPLE, *tables)))

    def install_browser(self) -> None:
        """Give the user a browser, that logs in by itself."""
        script = self.folder / "browser"
        script.write_text(_BROWSER.format(python=sys.executable, kept=str(self.browser_arguments)))
        script.chmod(0o700)
        self.env["BROWSER"] = f"{script} %s"
        webbrowser.register("tests", None, _Browser(self.authority), preferred=True)

    async def run(self, *arguments: str) -> Done:
        """Run a command that ends by itself, as a process."""
        return await run("mcp", *arguments, folder=self.folder, **self.env)

    async def mcp(self, *arguments: str) -> Done:
        """Run a command that ends by itself, in a thread of this process: that is faster."""
        config = ("--config", str(self.folder / "otelbridge.toml"))
        done = await asyncio.to_thread(
            CliRunner(env=self.env).invoke, cli, ["mcp", *arguments, *config]
        )
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return Done(done.exit_code, done.stdout, done.stderr)

    async def start_login(self, *options: str, user: str = "alice") -> Login:
        """Start a login that nobody has finished."""
        arguments = ("mcp", "login", "github", "--user", user, *options)
        return Login(await start(*arguments, folder=self.folder, **self.env), self.authority)


class Login:
    """A login that waits for the user.

    Attributes:
        process: The command.
        told: What it wrote to standard error so far.
    """

    def __init__(self, process: asyncio.subprocess.Process, authority: Authority) -> None:
        self.process = process
        self.told = ""
        self._authority = authority

    async def line_with(self, text: str) -> str:
        """Read on until a line has the text, and return that line."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.told += line.decode()
            if text in line.decode():
                return line.decode().strip()
        raise AssertionError(f"no {text!r} in {self.told!r}")

    async def browse(self, url: str) -> httpx2.Response:
        """Open a page as the user does."""
        async with httpx2.AsyncClient(
            verify=self._authority.client, trust_env=False, follow_redirects=True
        ) as browser:
            return await browser.get(url)

    async def end(self) -> Done:
        """Wait until it ends; its standard error is told in whole."""
        done = await ended(self.process)
        return type(done)(done.code, done.out, self.told + done.err)


def secrets_of(server: LoginServer) -> set[str]:
    """Return all that must be shown nowhere."""
    known = server.validator
    sent = {
        request.form[name]
        for request in server.requests
        for name in ("code", "code_verifier", "device_code", "client_secret")
        if name in request.form
    }
    return {
        SECRET,
        *known.access_tokens,
        *known.refresh_tokens,
        *known.codes,
        *known.devices,
        *sent,
    }
