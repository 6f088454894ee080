"""``otelbridge check``: validate everything that a start would need."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from otelbridge.commands.examination import Examination
from otelbridge.commands.settings import config_option
from otelbridge.config import is_loopback
from otelbridge.errors import ConfigError
from otelbridge.store.watching import summed_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otelbridge.config import Config
    from otelbridge.domain.access import Snapshot


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="A JSON object, not lines.")
def check(config_path: Path, *, as_json: bool) -> None:
    """Check the settings and every file that they name.

    Prints each mistake with its file, its place, and what is allowed; exits
    with 1 if there is one.
    """
    found = Examination(config_path, os.environ)
    found.run()
    if as_json:
        problems = [problem._asdict() for problem in found.problems]
        click.echo(json.dumps({"ok": not problems, "problems": problems}, indent=2))
        sys.exit(1 if problems else 0)
    if found.config is None or found.snapshot is None or found.problems:
        raise ConfigError("", "\n".join(map(str, found.problems)))
    click.echo(f"{config_path}: ok")
    for name, value in summary(found.config, found.snapshot):
        click.echo(f"  {name:<11} {value}")


def summary(config: Config, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield what a start would do, as names and values."""
    is_open = config.auth.grpc == "open" or (
        config.auth.grpc is None and is_loopback(config.listen.grpc)
    )
    who = "certificate" if config.tls.client_ca else "local processes" if is_open else "gateway key"
    yield "grpc", f"{config.listen.grpc}{', TLS' if config.tls.cert else ''}, open to: {who}"
    yield "http", config.listen.http
    yield "journal", str(config.journal.path)
    yield "store", str(config.store.path)
    yield "", summed_up(snapshot)
    for destination in config.destination:
        signals = ", ".join(destination.signals)
        yield "destination", f"{destination.name} ({destination.protocol}: {signals})"
    if not config.destination:
        yield "destination", "none: nothing is exported"
