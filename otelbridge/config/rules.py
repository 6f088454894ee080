"""Rules that concern several sections."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from otelbridge.config.addresses import is_loopback
from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from otelbridge.config.sections import Config, DestinationConfig

_MAX_DESTINATIONS = 32  # each is a bit of an outbox row's mask


def check_rules(config: Config) -> None:
    """Check what concerns several sections.

    Raises:
        ConfigError: If a rule is broken.
    """
    _check_names([destination.name for destination in config.destination])
    for destination in config.destination:
        _check_events(destination, config)
    if not config.listen.insecure:
        _check_exposure(config)


def _check_names(names: list[str]) -> None:
    if len(names) > _MAX_DESTINATIONS:
        raise ConfigError("destination", f"{len(names)} given, at most {_MAX_DESTINATIONS}")
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError("destination", f'name "{name}" is used twice')


def _check_events(destination: DestinationConfig, config: Config) -> None:
    """Where only metrics are sent, the global ``events`` means nothing."""
    is_told = destination.events is not None or "traces" in destination.signals
    events = destination.events or config.telemetry.events
    if events == "log" and is_told and "logs" not in destination.signals:
        raise ConfigError(
            f"destination {destination.name}",
            'events = "log" needs the signal "logs", or prompts and tools are never told',
        )


def _check_exposure(config: Config) -> None:
    """Listening anywhere but loopback without TLS or without gateway keys is refused."""
    hint = "or set listen.insecure = true"
    if not is_loopback(config.listen.grpc):
        if config.tls.cert is None:
            raise ConfigError(
                "listen.grpc", f"{config.listen.grpc} needs [tls] cert and key, {hint}"
            )
        if config.auth.grpc == "open" and config.tls.client_ca is None:
            raise ConfigError("auth.grpc", f'"open" is for loopback addresses only, {hint}')
    if not is_loopback(config.listen.http):
        # Gateways show their keys here, and are answered with keys and tokens.
        if not config.tls.http:
            needed = "[tls] http = true with cert and key"
            raise ConfigError("listen.http", f"{config.listen.http} needs {needed}, {hint}")
        if config.auth.metrics_token is None:
            problem = f"{config.listen.http} needs auth.metrics_token, {hint}"
            raise ConfigError("listen.http", problem)
