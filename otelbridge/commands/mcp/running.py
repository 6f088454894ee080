"""Running what talks to servers."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")

#: Time limit of one request, in seconds: a person waits for it.
HTTP_LIMIT_S = 15.0
# A shell's convention: a process that a signal ended has 128 and its number.
_INTERRUPTED = 130


def run(work: Coroutine[None, None, _T]) -> _T:
    """Run until it is done, or the user has had enough (Ctrl-C: exit code 130)."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(_INTERRUPTED)
