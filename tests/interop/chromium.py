"""Chromium, driven by its DevTools protocol: a real browser that says what it did.

Source: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections import deque
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx2
from websockets.sync.client import connect

from tests.interop.programs import Program, environment, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

_PATIENCE_S = 20.0
# No first-run pages, no updates, no calls home: nothing but what the tests ask for.
_OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
)


class Tab:
    """A tab that shows one page, and what became of it.

    Attributes:
        requests: Every address that it asked for.
        complaints: Errors and warnings of its console.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._events: deque[str] = deque()
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = self._receive(_PATIENCE_S)
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def open(self, url: str) -> None:
        """Show a page, and wait until it is loaded."""
        self._events.clear()
        self.call("Page.navigate", url=url)
        self.await_event("Page.loadEventFired")

    def await_event(self, name: str) -> None:
        """Return once something has happened."""
        deadline = monotonic() + _PATIENCE_S
        while name not in self._events:
            self._receive(deadline - monotonic())

    def listen(self, seconds: float) -> None:
        """Take in what happens in some time."""
        deadline = monotonic() + seconds
        while (left := deadline - monotonic()) > 0:
            try:
                self._receive(left)
            except TimeoutError:
                return

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def await_true(self, expression: str) -> None:
        """Return once an expression is true in the page."""

        def check() -> None:
            assert self.evaluate(expression), f"{expression}: {self.evaluate(_TEXT)}"

        eventually(check)

    def html(self) -> str:
        """Return the page as it stands; works without JavaScript, too."""
        root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        html: str = self.call("DOM.getOuterHTML", nodeId=root)["outerHTML"]
        return html

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=_KEYS[key], text=_TEXTS.get(key, ""))  # fmt: skip

    def resize(self, width: int, *, scheme: str = "light", motion: str = "no-preference") -> None:
        """Make the tab so wide, for somebody with these preferences."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self) -> bytes:
        """Return a picture of the whole page, as PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return b64decode(found["data"])

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=max(0.0, timeout_s)))
        name, params = message.get("method", ""), message.get("params", {})
        if name:
            self._events.append(name)
        if name == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif name == "Log.entryAdded" and params["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif name == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["exception"]["description"])
        elif name == "Runtime.consoleAPICalled":
            self.complaints.append(str(params["args"]))
        return message


_TEXT = "document.body.innerText.slice(0, 2000)"
_KEYS = {"Tab": 9, "Enter": 13}
_TEXTS = {"Enter": "\r"}


class Chromium:
    """A browser without a window."""

    def __init__(self, executable: Path, folder: Path) -> None:
        # Its sandbox needs a user other than root; what it shows here is our own.
        options = [*_OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        profile = folder / "profile"
        command: list[str | Path] = [
            executable,
            *options,
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self._program = Program(command, folder=folder, env=environment(HOME=str(folder)))
        try:
            self._port = eventually(lambda: _port(profile / "DevToolsActivePort"))
        except BaseException:
            self.stop()
            raise

    @contextmanager
    def tab(self, *, scripts: bool = True) -> Iterator[Tab]:
        """Open a tab.

        Args:
            scripts: Whether pages may run JavaScript in it.
        """
        url = f"http://127.0.0.1:{self._port}/json/new?about:blank"
        opened = httpx2.put(url, trust_env=False, timeout=_PATIENCE_S).json()
        with connect(opened["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
            tab = Tab(socket)
            for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
                tab.call(f"{domain}.enable")
            tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
            tab.resize(1400)
            try:
                yield tab
            finally:
                tab.call("Page.close")

    def stop(self) -> None:
        """End it, with the processes that it started."""
        self._program.stop()


def _port(path: Path) -> int:
    assert path.exists(), path
    lines = path.read_text().splitlines()
    assert lines, path
    return int(lines[0])
