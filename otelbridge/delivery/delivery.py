"""Delivery: every destination of the configuration, started and stopped together."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from otelbridge.delivery.credentials import CredentialFiles
from otelbridge.delivery.destination import Destination
from otelbridge.delivery.endpoints import signals_of
from otelbridge.delivery.lane import Lane
from otelbridge.delivery.metrics import MetricsEncoder
from otelbridge.delivery.metrics_worker import MetricsWorker
from otelbridge.delivery.otlp_grpc import GrpcExporter
from otelbridge.delivery.otlp_http import HttpExporter
from otelbridge.delivery.outbox_worker import OutboxWorker
from otelbridge.delivery.renewal import RenewableExporter
from otelbridge.delivery.requests import Envelope
from otelbridge.delivery.resource import encode_resource
from otelbridge.delivery.series import GROWING, SeriesView
from otelbridge.delivery.temporality import DeltaBase
from otelbridge.delivery.timing import Timing
from otelbridge.domain.ports import Signal
from otelbridge.telemetry.instruments import instruments_of
from otelbridge.telemetry.variants import profile_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.resources import Resource

    from otelbridge.config.sections import Config, DestinationConfig
    from otelbridge.delivery.destination import Worker
    from otelbridge.delivery.health import DestinationStatus
    from otelbridge.delivery.outcomes import Exporter
    from otelbridge.delivery.sources import MetricSources
    from otelbridge.domain.ledger import SeriesKey
    from otelbridge.domain.ports import Outbox


class Delivery:
    """All destinations.

    Args:
        config: The settings.
        outbox: What will be told.
        metrics: Where metrics are read from.
        resource: Who tells.
        version: Version of the bridge: of its scope and its User-Agent.
        timing: Time and chance.
    """

    def __init__(
        self,
        config: Config,
        *,
        outbox: Outbox,
        metrics: MetricSources,
        resource: Resource,
        version: str,
        timing: Timing | None = None,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._metrics = metrics
        self._resource = encode_resource(resource)
        self._version = version
        self._timing = timing or Timing()
        self._known: frozenset[SeriesKey] = frozenset()
        self._destinations: list[Destination] = []

    async def start(self) -> None:
        """Begin to deliver to every destination.

        Raises:
            ConfigError: If a destination's certificate or header is wrong.
                Nothing was started.
        """
        self._known = frozenset(self._metrics.read().series)
        made: list[Destination] = []
        try:
            for config in self._config.destination:
                made.append(self._destination(config))  # noqa: PERF401  # kept if one fails
        except BaseException:
            await _drain(made, 0.0)
            raise
        self._destinations = made
        for destination in made:
            destination.start()

    async def stop(self, grace_s: float) -> None:
        """Deliver what is pending within ``grace_s`` seconds and end; the rest is kept."""
        await _drain(self._destinations, grace_s)

    def statuses(self) -> list[DestinationStatus]:
        """Return how every destination does."""
        return [destination.status for destination in self._destinations]

    async def reload(self, configs: Iterable[DestinationConfig]) -> None:
        """Take headers and certificates of new settings, by destination; all else stays."""
        named = {config.name: config for config in configs}
        for destination in self._destinations:
            if destination.name in named:
                await destination.reload(named[destination.name])

    def _destination(self, config: DestinationConfig) -> Destination:
        files = CredentialFiles(config)
        exporter = RenewableExporter(partial(self._exporter, files))
        profile = profile_of(self._config, config)
        envelope = Envelope(self._resource, version=self._version, schema_url=profile.schema_url)
        workers: list[tuple[Lane, Worker]] = []
        for signal in signals_of(config):
            lane = Lane(
                config.name,
                signal,
                exporter=exporter,
                count=self._outbox.count,
                timing=self._timing,
                secrets=files.credentials.headers.values(),
            )
            if signal is Signal.METRICS:
                workers.append((lane, self._metrics_worker(config, lane, envelope)))
            else:
                workers.append((lane, OutboxWorker(lane, outbox=self._outbox, envelope=envelope)))
        return Destination(
            config.name, exporter=exporter, workers=workers, files=files, timing=self._timing
        )

    def _exporter(self, files: CredentialFiles) -> Exporter:
        config, shown, user_agent = files.config, files.credentials, f"otelbridge/{self._version}"
        if config.protocol == "grpc":
            return GrpcExporter(config, user_agent=user_agent, credentials=shown)
        return HttpExporter(
            config, user_agent=user_agent, now_ns=self._timing.now_ns, credentials=shown
        )

    def _metrics_worker(
        self, config: DestinationConfig, lane: Lane, envelope: Envelope
    ) -> MetricsWorker:
        base = self._delta_base(config) if config.temporality == "delta" else None
        encoder = MetricsEncoder(
            instruments_of(profile_of(self._config, config)),
            envelope=envelope,
            view=SeriesView(self._known),
            delta=base,
        )

        def save() -> None:
            if base is not None:
                self._metrics.save_base(config.name, base.dump())

        save()
        return MetricsWorker(
            lane,
            encoder=encoder,
            read=self._metrics.read,
            interval_s=self._config.metrics.interval_s,
            keeps=base is not None,
            acknowledged=save,
        )

    def _delta_base(self, config: DestinationConfig) -> DeltaBase:
        """Return what a destination has acknowledged; a new one begins now, or at the beginning."""
        base = DeltaBase.load(self._metrics.load_base(config.name))
        if base is not None:
            return base
        base = DeltaBase()
        if config.start == "now":
            instruments = instruments_of(profile_of(self._config, config))
            for family in self._metrics.read().families(instruments):
                if family.instrument.kind in GROWING:
                    base.acknowledge(family.points, at_ns=self._timing.now_ns())
        return base


async def _drain(destinations: Iterable[Destination], grace_s: float) -> None:
    await asyncio.gather(*(destination.drain(grace_s) for destination in destinations))
