"""``otelbridge doctor``: find what is wrong with an installation, and say what to do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from otelbridge.commands.doctoring.backends import url_option
from otelbridge.commands.doctoring.diagnosis import Wanted, diagnosed
from otelbridge.commands.doctoring.findings import (
    Finding,
    has_failed,
    print_json,
    print_line,
    print_summary,
)
from otelbridge.commands.mcp.running import run
from otelbridge.commands.settings import config_option

if TYPE_CHECKING:
    from pathlib import Path

# "Erase in line" (ECMA-48): what stands there, and where it begins again.
_ERASED = "\r\x1b[2K"


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="A JSON object, not lines.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1, 3600),
    metavar="S",
    help="How long to wait for the canary; by default 15 s more than assembly.grace_s.",
)
@click.option("--jaeger", callback=url_option, metavar="URL", help="Read the canary back here.")
@click.option("--prometheus", callback=url_option, metavar="URL", help="Look for metrics here.")
def doctor(
    config_path: Path,
    *,
    as_json: bool,
    timeout_s: float | None,
    jaeger: str | None,
    prometheus: str | None,
) -> None:
    """Find what is wrong with this installation, and say what to do about it.

    Looks at the settings and all files that they name, at the journal, the
    certificates and the clocks. A running bridge is asked, and a canary is
    sent through it: an interception that is not counted, which shows whether
    the way to every destination is open. Where no bridge runs, each
    destination is asked directly. Exits with 1 if something does not work.
    """
    wanted = Wanted(timeout_s=timeout_s, jaeger=jaeger, prometheus=prometheus)
    findings = run(_shown(config_path, wanted, as_json=as_json))
    if as_json:
        print_json(findings)
    else:
        print_summary(findings)
    sys.exit(1 if has_failed(findings) else 0)


async def _shown(path: Path, wanted: Wanted, *, as_json: bool) -> list[Finding]:
    """Return all findings; unless they are told as JSON, each is printed when it is known."""
    found = []
    try:
        async for finding in diagnosed(path, os.environ, wanted, show=_show):
            _show("")
            found.append(finding)
            if not as_json:
                print_line(finding)
    finally:
        _show("")
    return found


def _show(text: str) -> None:
    """Show what is waited for on standard error, where that is a terminal."""
    if sys.stderr.isatty():
        click.echo(f"{_ERASED}{text}", nl=False, err=True)
