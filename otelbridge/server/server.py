"""The server: built, started and stopped in the order in which the data flows."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING

from otelbridge.clock import SteadyClock
from otelbridge.config import is_loopback
from otelbridge.delivery.delivery import Delivery
from otelbridge.delivery.prometheus import Exposition
from otelbridge.delivery.resource import build_resource
from otelbridge.delivery.sources import MetricSources
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.tokens import AccessTokens
from otelbridge.page.plain import plain
from otelbridge.server.canary import canary_answers
from otelbridge.server.committed import Committed
from otelbridge.server.dead_letters import dead_letter_answers
from otelbridge.server.journal import journal_answers
from otelbridge.server.metering import CallMeter
from otelbridge.server.observing import Observer, readiness
from otelbridge.server.page import PageSource
from otelbridge.server.settings import SettingsReload
from otelbridge.servicers.authorizer import AuthorizerServicer
from otelbridge.servicers.mcp_configurator import MCPConfiguratorServicer
from otelbridge.servicers.methods import method_table
from otelbridge.servicers.provider_configurator import ProviderConfiguratorServicer
from otelbridge.servicers.recorder import RecorderServicer
from otelbridge.store import StoreWatcher
from otelbridge.telemetry.instruments import INSTRUMENTS
from otelbridge.transports.access import Door
from otelbridge.transports.certificates import CertificateFiles
from otelbridge.transports.control import ControlServer, control_path
from otelbridge.transports.gateway.calls import Dispatcher
from otelbridge.transports.gateway.endpoint import Endpoint
from otelbridge.transports.gateway.sessions import Gateways
from otelbridge.transports.grpc_server import GrpcServer
from otelbridge.transports.http_app import build_app
from otelbridge.transports.http_server import HttpServer
from otelbridge.transports.sockets import bind

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.resources import Resource  # noqa: TID251  # passed on, not used

    from otelbridge.config import Config, DestinationConfig
    from otelbridge.errors import JournalError
    from otelbridge.page import Page
    from otelbridge.servicers.methods import Method
    from otelbridge.store import Store
    from otelbridge.transports.control import Answer

logger = logging.getLogger(__name__)

_VERSION = version("otelbridge")
# A refresh outlives whoever waits for it, by [mcp] timeout_s: what a slow
# authorization server answers must be stored.
_REFRESH_S = 30.0


class Server:
    """A bridge.

    Args:
        config: The settings, with absolute paths.
        environ: Where the store's secrets and OTEL_* variables are read from.
        read: Reads the settings again; without it `reload` reads the store alone.

    Attributes:
        addresses: Where it listens, by name, once it has started.
    """

    def __init__(
        self,
        config: Config,
        *,
        environ: Mapping[str, str],
        read: Callable[[], Config] | None = None,
    ) -> None:
        self._config = config
        self._environ = environ
        self._read = read
        self._clock_ns = SteadyClock()
        self._state = "starting"
        self._failed = asyncio.Event()
        self._drained_at_s = 0.0
        # What was started, to be stopped in reverse order.
        self._started = AsyncExitStack()
        self._watcher: StoreWatcher | None = None
        self._settings: SettingsReload | None = None
        self.addresses: dict[str, str] = {}

    @property
    def destinations(self) -> list[tuple[str, str, str]]:
        """Return name, protocol and endpoint of every destination."""
        return [
            (each.name, each.protocol, each.endpoint or _endpoints(each))
            for each in self._config.destination
        ]

    async def start(self) -> None:
        """Build everything and listen.

        Raises:
            ConfigError: If a setting is wrong or a port is in use.
            StoreError: If the store file is wrong.
            JournalError: If the journal cannot be opened.
        """
        try:
            watcher = StoreWatcher.open(self._config.store.path, self._environ)
            store = watcher.store
            core = await Committed.open(
                self._config, clock_ns=self._clock_ns, on_failure=self._journal_failed
            )
            self._started.push_async_callback(core.commits.stop)
            methods = self._methods(store, core)
            gateways = self._gateways(store, core, methods)
            observe = Observer.of(self._config, core, store, gateways, clock_ns=self._clock_ns)
            resource = build_resource(self._environ, instance_id=core.instance_id, version=_VERSION)
            delivery = await self._start_delivery(core, observe, resource)
            page = await self._start_http(core, store, observe, delivery, resource, gateways)
            await self._start_control(core, gateways, delivery, page)
            await self._start_grpc(store, core, methods, gateways)
            self._start_watcher(watcher)
        except BaseException:
            await self._started.aclose()
            raise
        self._state = "ready"

    def reload(self, *, asked_by: str) -> None:
        """Read the store file and the settings again; what came of it is logged.

        Of the settings the headers and certificates of destinations are taken.

        Args:
            asked_by: What the log line begins with.
        """
        if self._watcher is not None:
            self._watcher.reload(asked_by=asked_by)
        if self._settings is not None:
            self._settings.start(asked_by=asked_by)

    async def run_until(self, stop: asyncio.Event) -> int:
        """Serve until told to stop, drain, and return the exit status: 1 if the journal failed."""
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._failed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        failed = self._failed.is_set()
        await self.stop(drain_s=0 if failed else None)
        return 1 if failed else 0

    async def stop(self, *, drain_s: float | None = None) -> None:
        """Answer what was received, deliver what can be delivered in time, keep the rest.

        Args:
            drain_s: How long both may take together, in seconds;
                ``listen.drain_s`` if not given.
        """
        self._state = "draining"
        seconds = self._config.listen.drain_s if drain_s is None else drain_s
        self._drained_at_s = asyncio.get_running_loop().time() + seconds
        await self._started.aclose()

    async def _start_delivery(
        self, core: Committed, observe: Observer, resource: Resource
    ) -> Delivery:
        delivery = Delivery(
            self._config,
            outbox=core.commits,
            metrics=MetricSources(
                snapshot=core.ledger.snapshot,
                observe=observe,
                load_base=lambda name: core.metrics_bases.get(name, ""),
                save_base=core.commits.store_metrics,
            ),
            resource=resource,
            version=_VERSION,
        )
        await delivery.start()

        async def stop() -> None:
            await core.commits.flush()
            await delivery.stop(self._left_s())

        self._started.push_async_callback(stop)
        if self._read is not None:
            self._settings = SettingsReload(self._config, delivery, self._read)
            self._started.push_async_callback(self._settings.stop)
        return delivery

    async def _start_http(
        self,
        core: Committed,
        store: Store,
        observe: Observer,
        delivery: Delivery,
        resource: Resource,
        gateways: Gateways,
    ) -> Page:
        listen = self._config.listen.http
        exposition = Exposition(
            INSTRUMENTS,
            resource=resource.attributes,
            known=core.ledger.snapshot(),
            now_ns=self._clock_ns,
        )

        def render(accept: str, scraper: tuple[str, str] | None) -> tuple[bytes, str]:
            return exposition.render(
                core.ledger.snapshot(), observe(), accept=accept, scraper=scraper
            )

        def ready() -> tuple[bool, Mapping[str, object]]:
            errors = {status.name: status.last_error for status in delivery.statuses()}
            return readiness(
                self._state,
                can_commit=core.commits.can_commit,
                destinations=errors,
                store=store.health,
            )

        page = self._start_page(core, store, delivery, gateways, lambda: str(ready()[1]["status"]))
        app = build_app(
            render=render,
            readiness=ready,
            address=listen,
            metrics_token=self._config.auth.metrics_token,
            gateways=gateways,
            page=page.routes if self._config.page.enabled else (),
        )
        context = self._http_context()
        http = HttpServer(app, bind(listen, key="listen.http"), gateways=gateways, context=context)
        self._started.push_async_callback(http.stop)
        await http.start()
        scheme = "http" if context is None else "https"
        url = f"{scheme}://{listen.rpartition(':')[0]}:{http.port}"
        self.addresses |= {"http": url, "metrics": f"{url}/metrics", "gateway": url}
        if self._config.page.enabled and page.can_be_seen:
            self.addresses["page"] = f"{url}/"
        return page

    def _start_page(
        self,
        core: Committed,
        store: Store,
        delivery: Delivery,
        gateways: Gateways,
        readiness: Callable[[], str],
    ) -> Page:
        source = PageSource(
            self._config,
            core,
            store,
            delivery,
            gateways,
            readiness=readiness,
            version=_VERSION,
            clock_ns=self._clock_ns,
        )
        page = source.page()
        page.start()
        self._started.callback(page.stop)
        return page

    def _http_context(self) -> ssl.SSLContext | None:
        tls = self._config.tls
        if not tls.http:
            return None
        return CertificateFiles(tls.model_copy(update={"client_ca": None})).http_context()

    async def _start_control(
        self, core: Committed, gateways: Gateways, delivery: Delivery, page: Page
    ) -> None:
        path = control_path(self._config.journal.path)
        answers: dict[str, Answer] = {
            "usage": lambda _query: core.usage(),
            "gateways": lambda _query: [each._asdict() for each in gateways.connected()],
            "view": lambda _query: _view_of(page),
            **dead_letter_answers(core),
            **journal_answers(core),
            **canary_answers(
                core,
                statuses=delivery.statuses,
                addresses=lambda: self.addresses,
                clock_ns=self._clock_ns,
            ),
        }
        control = ControlServer(path, answers)
        self._started.push_async_callback(control.stop)
        await control.start()

    async def _start_grpc(
        self, store: Store, core: Committed, methods: Mapping[str, Method], gateways: Gateways
    ) -> None:
        config = self._config
        auth = config.auth.grpc or ("open" if is_loopback(config.listen.grpc) else "gateway-key")
        grpc = GrpcServer(
            methods,
            address=config.listen.grpc,
            door=self._door(
                store, core, is_open=auth == "open", certified=config.tls.client_ca is not None
            ),
            meter=self._meter(core, "grpc"),
            certificates=CertificateFiles(config.tls) if config.tls.cert else None,
        )
        await grpc.start()

        async def stop() -> None:
            left_s = self._left_s()
            await asyncio.gather(grpc.stop(left_s), gateways.stop(left_s))
            store.close()

        self._started.push_async_callback(stop)
        await grpc.set_serving(serving=True)
        self.addresses = {"grpc": grpc.address, **self.addresses}

    def _gateways(self, store: Store, core: Committed, methods: Mapping[str, Method]) -> Gateways:
        count = core.commits.count
        return Gateways(
            Endpoint(
                self._door(store, core, is_open=False),
                is_ready=lambda: self._state == "ready" and core.commits.can_commit,
            ),
            Dispatcher(methods, meter=self._meter(core, "drpc")),
            clock_ns=self._clock_ns,
            count=count,
        )

    def _door(
        self, store: Store, core: Committed, *, is_open: bool, certified: bool = False
    ) -> Door:
        return Door(
            store.gateway_name,
            clock_ns=self._clock_ns,
            count=core.commits.count,
            is_open=is_open,
            certified=certified,
        )

    def _meter(self, core: Committed, system: str) -> CallMeter:
        meter = CallMeter(system)
        core.commits.booking.append(meter.book)
        return meter

    def _start_watcher(self, watcher: StoreWatcher) -> None:
        watcher.start()
        self._started.push_async_callback(watcher.stop)
        self._watcher = watcher

    def _methods(self, store: Store, core: Committed) -> Mapping[str, Method]:
        clock_ns, count = self._clock_ns, core.commits.count
        return method_table(
            {
                "Recorder": RecorderServicer(core.commits, clock_ns=clock_ns),
                "MCPConfigurator": MCPConfiguratorServicer(
                    store, self._access_tokens(store), count=count
                ),
                "Authorizer": AuthorizerServicer(
                    store, core.spending, clock_ns=clock_ns, count=count
                ),
                "ProviderConfigurator": ProviderConfiguratorServicer(store),
            }
        )

    def _access_tokens(self, store: Store) -> AccessTokens:
        tokens = AccessTokens(
            store.tokens,
            OAuthHttp(timeout_s=_REFRESH_S),
            timeout_s=self._config.mcp.timeout_s,
            clock_ns=self._clock_ns,
        )
        self._started.push_async_callback(lambda: tokens.close(self._left_s()))
        return tokens

    def _left_s(self) -> float:
        """Return how much of the time to drain is left, in seconds."""
        return max(0.0, self._drained_at_s - asyncio.get_running_loop().time())

    def _journal_failed(self, error: JournalError) -> None:
        logger.critical("stopping: %s", error)
        self._failed.set()


def _endpoints(destination: DestinationConfig) -> str:
    endpoints = (getattr(destination, f"{signal}_endpoint") for signal in destination.signals)
    return ", ".join(dict.fromkeys(filter(None, endpoints)))


async def _view_of(page: Page) -> object:
    """Return what the page shows, as JSON can hold it."""
    return plain(await page.view())
