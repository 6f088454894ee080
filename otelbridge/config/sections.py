"""The settings, a class for each section of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ByteSize, ConfigDict, Field, field_validator, model_validator

from otelbridge.config.addresses import check_endpoint, split_address
from otelbridge.errors import escaped

Semconv: TypeAlias = Literal["dup", "latest", "v1_41"]
Events: TypeAlias = Literal["span", "log", "both"]
TraceGrouping: TypeAlias = Literal["interception", "thread"]
Capture: TypeAlias = Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]
SignalName: TypeAlias = Literal["traces", "metrics", "logs"]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=31 * 86400, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of the file; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListenConfig(Section):
    """Where the bridge listens.

    Attributes:
        grpc: HOST:PORT of the gRPC listener; port 0 draws a free one.
        http: HOST:PORT of the HTTP listener (/metrics, /healthz, /readyz).
        drain_s: How long a stop waits for calls that were received, in seconds.
        insecure: Allow addresses other than loopback without TLS or without
            gateway keys.
    """

    grpc: str = "127.0.0.1:50051"
    http: str = "127.0.0.1:8088"
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    insecure: bool = False

    @field_validator("grpc", "http")
    @classmethod
    def _address(cls, value: str) -> str:
        split_address(value)
        return value


class TlsConfig(Section):
    """Certificates of the gRPC listener, reloaded when the files change.

    Attributes:
        cert: PEM file with the certificate chain.
        key: PEM file with its private key.
        client_ca: PEM file; clients must then show a certificate signed by it.
    """

    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None

    @model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key must be given together")
        if self.client_ca is not None and self.cert is None:
            raise ValueError("client_ca needs cert and key")
        return self


class StoreConfig(Section):
    """Where users, keys, MCP servers and providers are kept.

    Attributes:
        path: The store file, mode 0600.
    """

    path: Path = Path("store.toml")


class JournalConfig(Section):
    """Where records are kept until they are delivered.

    Attributes:
        url: ``sqlite:PATH``.
        max_bytes: Disk that undelivered telemetry may take.
        dedup_s: How long a finalised interception's repeats are recognised, in seconds.
    """

    url: str = "sqlite:journal.db"
    max_bytes: Annotated[ByteSize, Field(ge=1024 * 1024)] = ByteSize(1024**3)
    dedup_s: Annotated[float, Field(gt=0, le=366 * 86400)] = 86400.0

    @field_validator("url")
    @classmethod
    def _scheme(cls, value: str) -> str:
        scheme, _, path = value.partition(":")
        if scheme == "postgresql":
            raise ValueError("postgresql is not supported yet, use sqlite:PATH")
        if scheme != "sqlite" or not path or path.startswith("//"):
            raise ValueError(f'"{escaped(value)}" is not of the form sqlite:PATH')
        return value

    @property
    def path(self) -> Path:
        """Return the database file."""
        return Path(self.url.partition(":")[2])


class AssemblyConfig(Section):
    """When an interception is finalised.

    Attributes:
        grace_s: How long after its end or last record, in seconds.
        max_age_s: How long after its last record if no end comes, in seconds.
    """

    grace_s: Annotated[float, Field(ge=0, le=60)] = 6.0
    max_age_s: Seconds = 3600.0


class TelemetryConfig(Section):
    """How interceptions are told, unless a destination says otherwise.

    Attributes:
        semconv: Which semantic-convention names are used.
        events: Whether prompts, tools and thoughts are span events or log records.
        trace_grouping: Whether a trace is an interception or an agent's thread.
        providers: Additions to the provider map: type as sent, name as told.
    """

    semconv: Semconv = "dup"
    events: Events = "span"
    trace_grouping: TraceGrouping = "interception"
    providers: dict[str, str] = {}


class AuthConfig(Section):
    """Who may call.

    Attributes:
        grpc: ``open`` or ``gateway-key``; by default open on loopback only.
        metrics_token: Bearer token that /metrics asks for.
    """

    grpc: Literal["open", "gateway-key"] | None = None
    metrics_token: str | None = Field(default=None, min_length=1, repr=False)


class McpConfig(Section):
    """Requests for MCP access tokens.

    Attributes:
        timeout_s: Time limit of one server's token, in seconds.
    """

    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0


class PricesConfig(Section):
    """Prices.

    Attributes:
        overrides: TOML file of prices that replace or extend the built-in table.
    """

    overrides: Path | None = None


class ContentConfig(Section):
    """Whether prompts, tool arguments and thoughts may leave.

    Attributes:
        capture: On nothing, on spans, on events, or on both.
    """

    capture: Capture = "NO_CONTENT"


class MetricsConfig(Section):
    """Metrics.

    Attributes:
        interval_s: How often metrics are exported by OTLP, in seconds.
        user_label: Whether the user is a label.
        limits: How many values a label may have, by attribute key; 100 each
            where nothing is said.
    """

    interval_s: Annotated[float, Field(ge=0.05, le=86400)] = 60.0
    user_label: bool = False
    limits: dict[str, Annotated[int, Field(ge=1, le=100_000)]] = {}


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

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class DestinationConfig(Section):
    """One OTLP endpoint. What is left out comes from the global keys.

    Attributes:
        name: Its identity: progress is kept under it.
        protocol: OTLP transport.
        endpoint: Base URL; ``http/protobuf`` appends ``/v1/{signal}``.
        traces_endpoint: Taken as it is, for traces.
        metrics_endpoint: Taken as it is, for metrics.
        logs_endpoint: Taken as it is, for logs.
        headers: Sent with every request.
        compression: How requests are compressed.
        tls: Certificates.
        signals: What is sent.
        semconv: See `TelemetryConfig`.
        events: See `TelemetryConfig`.
        trace_grouping: See `TelemetryConfig`.
        content: See `ContentConfig.capture`.
        temporality: Whether metric points tell the total or the change.
        start: The key ``from``: whether it gets what comes from now on, or
            also what is still kept.
        max_bytes: Disk that its backlog may take.
        timeout_s: Time limit of one request, in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    protocol: Literal["grpc", "http/protobuf"] = "grpc"
    endpoint: str | None = None
    traces_endpoint: str | None = None
    metrics_endpoint: str | None = None
    logs_endpoint: str | None = None
    headers: dict[str, str] = Field(default={}, repr=False)
    compression: Literal["none", "gzip"] = "none"
    tls: DestinationTlsConfig = DestinationTlsConfig()
    signals: tuple[SignalName, ...] = ("traces", "metrics", "logs")
    semconv: Semconv | None = None
    events: Events | None = None
    trace_grouping: TraceGrouping | None = None
    content: Capture | None = None
    temporality: Literal["cumulative", "delta"] = "cumulative"
    start: Literal["now", "beginning"] = Field(default="now", alias="from")
    max_bytes: Annotated[ByteSize, Field(ge=1024 * 1024)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0

    @field_validator("endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None:
            check_endpoint(value)
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
    log: LogConfig = LogConfig()
    destination: tuple[DestinationConfig, ...] = ()
