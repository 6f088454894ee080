"""The settings, a class for each section of the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import ByteSize, ConfigDict, Field, field_validator, model_validator

from otelbridge.config.addresses import check_base_endpoint, check_endpoint, split_address
from otelbridge.config.content import Capture, ContentConfig
from otelbridge.config.fields import Count, File, HeaderValue, Number, Size, check_file
from otelbridge.config.page import PageConfig
from otelbridge.config.section import Section
from otelbridge.errors import escaped

Semconv: TypeAlias = Literal["dup", "latest", "v1_41"]
Events: TypeAlias = Literal["span", "log", "both"]
TraceGrouping: TypeAlias = Literal["interception", "thread"]
SignalName: TypeAlias = Literal["traces", "metrics", "logs"]

#: The labels that a client's or a gateway's text decides.
LIMITED_LABELS = (
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.tool.name",
    "server.address",
    "aibridge.client",
    "error.type",
    "user.id",
)
# What a header can carry.
_TOKEN = re.compile(r"[!-~]+")


class ListenConfig(Section):
    """Where the bridge listens.

    Attributes:
        grpc: HOST:PORT of the gRPC listener; port 0 draws a free one.
        http: HOST:PORT of the HTTP listener (gateways, the page, /metrics, /healthz,
            /readyz).
        drain_s: How long a stop waits for calls that were received and for
            deliveries that are under way, in seconds.
        insecure: Allow addresses other than loopback without TLS, without
            gateway keys or without a metrics token.
    """

    grpc: str = "127.0.0.1:50051"
    http: str = "127.0.0.1:8088"
    drain_s: Annotated[Number, Field(ge=0, le=3600)] = 10.0
    insecure: bool = False

    @field_validator("grpc", "http")
    @classmethod
    def _address(cls, value: str) -> str:
        split_address(value)
        return value


class TlsConfig(Section):
    """Certificates of the listeners, reloaded when the files change.

    Attributes:
        cert: PEM file with the certificate chain.
        key: PEM file with its private key.
        client_ca: PEM file; gRPC's clients must then show a certificate signed by it.
        http: Whether the HTTP listener (the gateways' endpoint, /metrics and
            the probes) is served over TLS, too.
    """

    cert: File | None = None
    key: File | None = None
    client_ca: File | None = None
    http: bool = False

    @model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key must be given together")
        if self.client_ca is not None and self.cert is None:
            raise ValueError("client_ca needs cert and key")
        if self.http and self.cert is None:
            raise ValueError("http = true needs cert and key")
        return self


class StoreConfig(Section):
    """Where users, keys, MCP servers and providers are kept.

    Attributes:
        path: The store file, mode 0600.
    """

    path: File = Path("store.toml")


class JournalConfig(Section):
    """Where records are kept until they are delivered.

    Attributes:
        url: ``sqlite:PATH``, the journal's file; created with mode 0600.
        max_bytes: How much telemetry may wait for a destination that names no
            limit of its own. Beyond it content is left out first, then the
            oldest items are given up, and all of it is counted.
        dedup_s: How long a finalised interception's records are recognised
            when they are sent again, in seconds.
        reserve_bytes: Disk space that is kept back, to go on with when the disk
            is full.
    """

    url: str = "sqlite:journal.db"
    max_bytes: Size = ByteSize(1024**3)
    dedup_s: Annotated[Number, Field(gt=0, le=366 * 86400)] = 86400.0
    reserve_bytes: Size = ByteSize(64 * 1024**2)

    @field_validator("url")
    @classmethod
    def _scheme(cls, value: str) -> str:
        scheme, _, path = value.partition(":")
        if scheme.partition("+")[0] in {"postgres", "postgresql"}:
            raise ValueError("postgresql is not supported yet, use sqlite:PATH")
        if scheme != "sqlite" or path.startswith("//"):
            # Another database's address may hold a password: it is not repeated.
            shown = "the value" if "@" in value or "=" in value else f'"{escaped(value)}"'
            raise ValueError(f"{shown} is not of the form sqlite:PATH")
        check_file(Path(path))
        return value

    @property
    def path(self) -> Path:
        """Return the database file."""
        return Path(self.url.partition(":")[2])


class AssemblyConfig(Section):
    """When an interception is finalised.

    Attributes:
        grace_s: How long after the later of its end and its last record, in
            seconds; but never more than 60 s after its end.
        max_age_s: How long after its last record if its start or its end never
            comes, in seconds.
    """

    grace_s: Annotated[Number, Field(ge=0, le=60)] = 6.0
    max_age_s: Annotated[Number, Field(gt=0, le=31 * 86400)] = 3600.0


class TelemetryConfig(Section):
    """How interceptions are told, unless a destination says otherwise.

    Attributes:
        semconv: Which semantic-convention names are used: those of release
            1.41, the latest ones, or both.
        events: Whether prompts, tools and thoughts are span events, log records
            or both.
        trace_grouping: Whether a trace is one interception or an agent's thread
            of them.
        providers: Additions to the provider map: the type as sent, and the name
            to tell.
    """

    semconv: Semconv = "dup"
    events: Events = "span"
    trace_grouping: TraceGrouping = "interception"
    providers: dict[str, str] = Field(default={})


class AuthConfig(Section):
    """Who may call.

    Attributes:
        grpc: Whether a process without a gateway key may record (``open``). By
            default ``open`` on a loopback address, ``gateway-key`` elsewhere.
        metrics_token: Bearer token that /metrics asks for, and the page's password;
            printable ASCII without spaces.
    """

    grpc: Literal["open", "gateway-key"] | None = None
    metrics_token: str | None = Field(default=None, repr=False)

    @field_validator("metrics_token")
    @classmethod
    def _can_be_sent(cls, value: str | None) -> str | None:
        if value is not None and not _TOKEN.fullmatch(value):
            raise ValueError("the value is empty, or not printable ASCII without spaces")
        return value


class McpConfig(Section):
    """Requests for MCP access tokens.

    Attributes:
        timeout_s: Time limit of one server's token, in seconds. A refresh that
            takes longer goes on; its result is for the next who asks.
    """

    timeout_s: Annotated[Number, Field(gt=0, le=60)] = 5.0


class PricesConfig(Section):
    """Prices.

    Attributes:
        overrides: TOML file of prices that replace or extend the built-in
            table; see below.
    """

    overrides: File | None = None


class MetricsConfig(Section):
    """Metrics.

    Attributes:
        interval_s: How often metrics are exported by OTLP, in seconds.
        user_label: Whether the user is a label.
        limits: How many values a label may have, by attribute key; 100 where
            nothing is said. Further ones are told as ``_OTHER``, and counted.
        series_limit: How many series an instrument may have. Further ones are
            told under ``_OTHER``, and counted.
    """

    interval_s: Annotated[Number, Field(ge=0.05, le=86400)] = 60.0
    user_label: bool = False
    limits: dict[str, Annotated[Count, Field(ge=1, le=100_000)]] = Field(default={})
    series_limit: Annotated[Count, Field(ge=1, le=1_000_000)] = 2000

    @field_validator("limits")
    @classmethod
    def _labels(cls, value: dict[str, int]) -> dict[str, int]:
        for key in value:
            if key not in LIMITED_LABELS:
                known = ", ".join(LIMITED_LABELS)
                raise ValueError(f'"{escaped(key)}" is not a label with a limit; labels: {known}')
        return value


class LogConfig(Section):
    """The bridge's own log, on standard error.

    Attributes:
        level: The least severe level that is written.
        format: Lines of text or JSON objects.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class DestinationTlsConfig(Section):
    """TLS towards one destination.

    Attributes:
        ca: PEM file of the authorities to trust; the system's by default.
        cert: PEM file with the client's certificate chain.
        key: PEM file with its private key.
    """

    ca: File | None = None
    cert: File | None = None
    key: File | None = None

    @model_validator(mode="after")
    def _pair(self) -> DestinationTlsConfig:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key must be given together")
        return self


class DestinationConfig(Section):
    """One OTLP endpoint. What is left out comes from the global keys.

    Attributes:
        name: Its identity: progress is kept under it. 1 to 64 of A-Z, a-z,
            0-9, ``.``, ``_``, ``-``.
        protocol: OTLP's transport.
        endpoint: Base URL; ``http/protobuf`` appends ``/v1/`` and the signal.
            Over gRPC ``https`` means TLS.
        traces_endpoint: URL for traces, taken as it is.
        metrics_endpoint: URL for metrics, taken as it is.
        logs_endpoint: URL for logs, taken as it is.
        headers: Sent with every request; a value may be kept in a file, see below.
        compression: How requests are compressed.
        tls: Certificates; see below.
        signals: What is sent.
        semconv: Instead of ``[telemetry] semconv``.
        events: Instead of ``[telemetry] events``.
        trace_grouping: Instead of ``[telemetry] trace_grouping``.
        content: Instead of ``[content] capture``.
        temporality: Whether metric points tell the total or the change.
        start: What a new destination gets: what comes from now on, or also what
            is still kept for destinations that are told the same. The key is
            called ``from``.
        max_bytes: How much telemetry may wait for it, instead of
            ``[journal] max_bytes``.
        timeout_s: Time limit of one request, in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    protocol: Literal["grpc", "http/protobuf"] = "grpc"
    endpoint: str | None = None
    traces_endpoint: str | None = None
    metrics_endpoint: str | None = None
    logs_endpoint: str | None = None
    headers: dict[str, HeaderValue] = Field(default={}, repr=False)
    compression: Literal["none", "gzip"] = "none"
    tls: DestinationTlsConfig = DestinationTlsConfig()
    signals: tuple[SignalName, ...] = ("traces", "metrics", "logs")
    semconv: Semconv | None = None
    events: Events | None = None
    trace_grouping: TraceGrouping | None = None
    content: Capture | None = None
    temporality: Literal["cumulative", "delta"] = "cumulative"
    start: Literal["now", "beginning"] = Field(default="now", alias="from")
    max_bytes: Size | None = None
    timeout_s: Annotated[Number, Field(gt=0, le=600)] = 10.0

    @field_validator("endpoint")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        if value is not None:
            check_base_endpoint(value)
        return value

    @field_validator("traces_endpoint", "metrics_endpoint", "logs_endpoint")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None:
            check_endpoint(value)
        return value

    @field_validator("signals")
    @classmethod
    def _some(cls, value: tuple[SignalName, ...]) -> tuple[SignalName, ...]:
        if not value:
            raise ValueError("the list is empty")
        return value

    @model_validator(mode="after")
    def _complete(self) -> DestinationConfig:
        for signal in self.signals:
            if self.endpoint is None and getattr(self, f"{signal}_endpoint") is None:
                raise ValueError(f"no endpoint for {signal}: set endpoint or {signal}_endpoint")
        return self


class Config(Section):
    """All settings.

    Attributes:
        destination: Where telemetry goes; the tables ``[[destination]]``.
    """

    listen: ListenConfig = ListenConfig()
    tls: TlsConfig = TlsConfig()
    store: StoreConfig = StoreConfig()
    journal: JournalConfig = JournalConfig()
    assembly: AssemblyConfig = AssemblyConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    auth: AuthConfig = AuthConfig()
    mcp: McpConfig = McpConfig()
    prices: PricesConfig = PricesConfig()
    content: ContentConfig = ContentConfig()
    metrics: MetricsConfig = MetricsConfig()
    page: PageConfig = PageConfig()
    log: LogConfig = LogConfig()
    destination: tuple[DestinationConfig, ...] = ()
