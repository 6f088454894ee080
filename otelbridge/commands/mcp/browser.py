"""The user's browser."""

from __future__ import annotations

import threading
import webbrowser
from contextlib import suppress


def open_browser(url: str) -> None:
    """Try to open a page; returns at once, and says nothing if there is no browser.

    A browser in the terminal runs until the user leaves it: a thread that
    nobody waits for stays with it.
    """
    threading.Thread(target=_open, args=(url,), name="browser", daemon=True).start()


def _open(url: str) -> None:
    # The URL was printed: who has no browser here opens it elsewhere.
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(url)
