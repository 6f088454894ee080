"""``otelbridge init``: the two files that a bridge is started with."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from otelbridge.errors import ConfigError
from otelbridge.store import new_gateway_key, new_key
from otelbridge.store.template import new_store_text

if TYPE_CHECKING:
    from otelbridge.domain.access import Secret

# Both may come to hold secrets: a destination's headers, a provider's key.
_MODE = 0o600
# A "#" without a space begins a default.
_CONFIG = """\
# Settings of otelbridge; start it with: otelbridge serve --config otelbridge.toml
#
# A "#" without a space begins a default, or under "Example" an example: take
# it away to change it. Each key can also be set in the environment, as
# OTELBRIDGE_SECTION__KEY. Relative paths are relative to this file.

[listen]
#grpc = "127.0.0.1:50051"       # for gateways
#http = "127.0.0.1:8088"        # /metrics, /healthz, /readyz
#drain_s = 10.0                 # how long a stop waits for calls

[store]
path = "store.toml"             # users, keys, MCP servers, providers, budgets

[journal]
url = "sqlite:journal.db"       # acknowledged records, until they are delivered
#max_bytes = "1GiB"
#dedup_s = 86400.0

[assembly]
#grace_s = 6.0                  # how long records are waited for after the end
#max_age_s = 3600.0             # ... and without an end

[telemetry]
#semconv = "dup"                # dup | latest | v1_41
#events = "span"                # span | log | both
#trace_grouping = "interception"    # interception | thread

[content]
#capture = "NO_CONTENT"         # NO_CONTENT | SPAN_ONLY | EVENT_ONLY | SPAN_AND_EVENT

[metrics]
#interval_s = 60.0
#user_label = false

[log]
#level = "info"                 # debug | info | warning | error
#format = "text"                # text | json

# Where telemetry goes: any number of OTLP endpoints. With none, the standard
# OTEL_EXPORTER_OTLP_* variables name one. Example:
#[[destination]]
#name = "collector"
#protocol = "grpc"              # grpc | http/protobuf
#endpoint = "http://127.0.0.1:4317"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The only copy of the new keys: the store file has their hashes.

    Attributes:
        user_key: Of the user ``admin``.
        gateway_key: Of the gateway ``default``.
    """

    user_key: Secret
    gateway_key: Secret


def initialise(directory: Path) -> Credentials:
    """Write ``otelbridge.toml`` and ``store.toml``, both or none of them.

    Args:
        directory: Where to; made if it does not exist.

    Raises:
        ConfigError: If one of the files exists, which is never overwritten,
            or they cannot be written.
    """
    key, gateway_key = new_key(), new_gateway_key()
    texts = {
        "store.toml": new_store_text(uuid4(), key, gateway_key),
        "otelbridge.toml": _CONFIG,
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write_all({directory / name: text for name, text in texts.items()})
    except FileExistsError as error:
        raise ConfigError("", f"{error.filename} exists, it is not overwritten") from None
    except OSError as error:
        raise ConfigError("", f"{error.filename or directory}: {error.strerror}") from None
    return Credentials(user_key=key.key, gateway_key=gateway_key.key)


@click.command()
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write the files that a bridge starts with.

    These are otelbridge.toml and store.toml, with one user key and one gateway
    key. The keys are printed once and stored nowhere.
    """
    try:
        credentials = initialise(directory)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"user key: {credentials.user_key.reveal()}")
    click.echo(f"gateway key: {credentials.gateway_key.reveal()}")
    click.echo(f"wrote {directory / 'otelbridge.toml'} and {directory / 'store.toml'}", err=True)
    click.echo("keep the keys: only their hashes are stored", err=True)


def _write_all(texts: dict[Path, str]) -> None:
    """Create the files; if one cannot be created, none is left."""
    with ExitStack() as undo:
        for path, text in texts.items():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
            undo.callback(path.unlink)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
        undo.pop_all()
