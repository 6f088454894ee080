"""Reading settings: the file, the environment over it, and errors a person can act on."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from otelbridge.config.addresses import is_loopback
from otelbridge.config.otel_env import overlay_from_otel
from otelbridge.config.sections import Config
from otelbridge.errors import ConfigError, escaped

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

ENV_PREFIX = "OTELBRIDGE_"
_MAX_DESTINATIONS = 32  # each is a bit of an outbox row's mask
_PATHS = (("store", "path"), ("tls", "cert"), ("tls", "key"), ("tls", "client_ca"))


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the settings.

    Relative paths in the file are relative to the file. ``OTELBRIDGE_*``
    variables win over the file, the file over ``OTEL_*`` variables.

    Raises:
        ConfigError: If the file cannot be read, or any key or value is wrong.
            Each line of the text is one mistake: its key, the value and what
            is allowed.
    """
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("", f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("", f"{path}: not a TOML file: {error}") from None
    return build_config(data, environ, base=path.parent)


def build_config(data: dict[str, Any], environ: Mapping[str, str], *, base: Path) -> Config:
    """Build the settings from a file's data and the environment.

    Raises:
        ConfigError: See `load_config`.
    """
    merged = overlay_from_otel(_overlaid(data, environ), environ)
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError("", "\n".join(_line(detail) for detail in error.errors())) from None
    _check(config)
    return resolved(config, base)


def resolved(config: Config, base: Path) -> Config:
    """Return the settings with every relative path made relative to ``base``."""

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else base / path

    tls = config.tls
    journal = f"sqlite:{base / config.journal.path}"
    return config.model_copy(
        update={
            "store": config.store.model_copy(update={"path": base / config.store.path}),
            "journal": config.journal.model_copy(update={"url": journal}),
            "prices": config.prices.model_copy(
                update={"overrides": absolute(config.prices.overrides)}
            ),
            "tls": tls.model_copy(
                update={name: absolute(getattr(tls, name)) for name in ("cert", "key", "client_ca")}
            ),
            "destination": tuple(
                destination.model_copy(
                    update={
                        "tls": destination.tls.model_copy(
                            update={
                                name: absolute(getattr(destination.tls, name))
                                for name in ("ca", "cert", "key")
                            }
                        )
                    }
                )
                for destination in config.destination
            ),
        }
    )


def _overlaid(data: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    merged: dict[str, Any] = json.loads(json.dumps(data, default=str))
    for name in sorted(environ):
        section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if name.startswith(ENV_PREFIX) and key:
            _assign(merged, [section, *key.split("__")], environ[name], name)
    return merged


def _assign(target: Any, path: list[str], text: str, name: str) -> None:
    for step in path[:-1]:
        if isinstance(target, list):
            target = _item(target, step, name)
        elif isinstance(target, dict):
            target = target.setdefault(step, [] if step == "destination" else {})
    if not isinstance(target, dict):
        raise ConfigError(name, "does not name a key of the configuration")
    target[path[-1]] = _value(text)


def _item(target: list[Any], step: str, name: str) -> Any:
    if not step.isdigit() or int(step) > len(target):
        raise ConfigError(name, f"the next destination has the number {len(target)}")
    if int(step) == len(target):
        target.append({})
    return target[int(step)]


def _value(text: str) -> Any:
    """Lists and tables are written as JSON; everything else is taken as it is."""
    if text[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _line(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "configuration"
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key"
    message = detail["msg"].removeprefix("Value error, ")
    given = detail["input"]
    if detail["type"] != "value_error" and isinstance(given, str | int | float):
        return f'{where}: {message[:1].lower()}{message[1:]}, not "{escaped(str(given))}"'
    return f"{where}: {message[:1].lower()}{message[1:]}"


def _check(config: Config) -> None:
    """Check what concerns several sections."""
    names = [destination.name for destination in config.destination]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("destination", f'name "{name}" is used twice')
    if len(names) > _MAX_DESTINATIONS:
        raise ConfigError("destination", f"{len(names)} given, at most {_MAX_DESTINATIONS}")
    for destination in config.destination:
        events = destination.events or config.telemetry.events
        if events == "log" and "logs" not in destination.signals:
            raise ConfigError(
                f"destination {destination.name}",
                'events = "log" needs the signal "logs", or prompts and tools are never told',
            )
    _check_exposure(config)


def _check_exposure(config: Config) -> None:
    """Listening anywhere but loopback without TLS or without gateway keys is refused."""
    if config.listen.insecure:
        return
    hint = "or set listen.insecure = true"
    if not is_loopback(config.listen.grpc):
        if config.tls.cert is None:
            raise ConfigError(
                "listen.grpc", f"{config.listen.grpc} needs [tls] cert and key, {hint}"
            )
        if config.auth.grpc == "open" and config.tls.client_ca is None:
            raise ConfigError("auth.grpc", f'"open" is for loopback addresses only, {hint}')
    if not is_loopback(config.listen.http) and config.auth.metrics_token is None:
        raise ConfigError("listen.http", f"{config.listen.http} needs auth.metrics_token, {hint}")
