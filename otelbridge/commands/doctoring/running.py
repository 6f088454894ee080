"""The bridge that runs: whether its listeners and its gateways' endpoint answer."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2

from otelbridge.commands.doctoring.certificates import standing, validity_of
from otelbridge.commands.doctoring.findings import Finding, failure, ok, warning
from otelbridge.errors import ConfigError, OtelBridgeError
from otelbridge.transports.control import ask, control_path
from otelbridge.transports.gateway.endpoint import PATH
from otelbridge.transports.target import Target, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from otelbridge.config import Config
    from otelbridge.domain.access import Snapshot

_AREA = "listeners"
_ENDPOINT = "gateway endpoint"
#: Time limit of a request to a neighbour, in seconds.
LIMIT_S = 5.0
# What any caller may ask for. A refusal for want of a key is an answer, too.
_RPC = "ProviderConfigurator/GetAIProviders"
_ANSWERS = frozenset({"OK", "UNAUTHENTICATED"})
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  # not bound here
_LOG = "look at the bridge's log"


class Running(NamedTuple):
    """What a running bridge says of itself.

    Attributes:
        addresses: Where it listens, by name.
        now_ns: Its clock.
        destinations: By name what is wrong with each; None if nothing is.
    """

    addresses: dict[str, str]
    now_ns: int
    destinations: dict[str, str | None]


def find_running(config: Config) -> Running | None:
    """Return what the running bridge says; None if none uses the journal.

    Raises:
        OtelBridgeError: If one is there and does not answer, or does not listen yet.
    """
    told: dict[str, Any] | None = ask(control_path(config.journal.path), "about")
    if told is None:
        return None
    if "grpc" not in told["addresses"]:
        raise OtelBridgeError("it is just starting or stopping: ask again in a moment")
    return Running(told["addresses"], told["now_ns"], told["destinations"])


async def listener_findings(config: Config, running: Running) -> AsyncIterator[Finding]:
    """Yield whether the listeners answer."""
    yield await _grpc(config, running)
    url = running.addresses["http"]
    context = _context(config.tls.cert if config.tls.http else None)
    url = url.replace("://0.0.0.0:", "://127.0.0.1:").replace("://[::]:", "://[::1]:")
    async with httpx2.AsyncClient(
        base_url=url, verify=context, trust_env=False, timeout=LIMIT_S
    ) as client:
        try:
            yield await _health(client)
            async for each in _ready(client):
                yield each
            yield await _metrics(client, config)
            yield await _endpoint(client)
        except (httpx2.HTTPError, ValueError) as error:
            text = f"{url}: no answer: {str(error) or type(error).__name__}"
            yield failure(_AREA, text, _LOG, subject="http")


def gateway_findings(config: Config, snapshot: Snapshot | None) -> Iterator[Finding]:
    """Yield which gateways are connected."""
    sessions: list[dict[str, Any]] | None = ask(control_path(config.journal.path), "gateways")
    there = {each["name"] for each in sessions or ()}
    known = {each.name for each in snapshot.gateways.values()} if snapshot else set()
    if there:
        yield ok(_ENDPOINT, f"connected: {', '.join(sorted(there))}")
    missing = ", ".join(sorted(known - there))
    if missing:
        advice = "is it started, with this bridge's CODER_URL and its key? Over gRPC none connects"
        yield warning(_ENDPOINT, f"not connected: {missing}", advice)


async def _grpc(config: Config, running: Running) -> Finding:
    address = _local(running.addresses["grpc"])
    if config.tls.cert is not None:
        return _handshake(address, config.tls.cert)
    try:
        async with connected(Target(address=address)) as caller:
            code, text = await caller.call(_RPC, b"")
    except ConfigError as error:
        return failure(_AREA, str(error), _LOG, subject="grpc")
    if code not in _ANSWERS:
        return failure(_AREA, f"{address}: {code}: {text}", _LOG, subject="grpc")
    meaning = "" if code == "OK" else ", and asks for a key"
    return ok(_AREA, f"{address} answers{meaning}", subject="grpc")


def _handshake(address: str, cert: Path) -> Finding:
    """Return whether a listener shows the certificate that the settings name.

    A call would need a client's certificate, where these are asked for.
    """
    host, _, port = address.rpartition(":")
    try:
        shown = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=LIMIT_S)
        is_ours = shown.strip() in cert.read_text().replace("\r\n", "\n")
        of_shown = standing(validity_of(ssl.PEM_cert_to_DER_cert(shown)), "", now_s=time.time())
    except (OSError, ValueError) as error:
        return failure(_AREA, f"{address}: no TLS: {error}", _LOG, subject="grpc")
    if is_ours:
        return ok(_AREA, f"{address} answers with tls.cert", subject="grpc")
    text = f"{address} shows another certificate than {cert} holds: {of_shown.message}"
    return warning(_AREA, text, f"{_LOG}: it says why the new file is not used", subject="grpc")


async def _health(client: httpx2.AsyncClient) -> Finding:
    answer = await client.get("/healthz")
    if answer.is_success:
        return ok(_AREA, f"{client.base_url} answers", subject="http")
    return failure(_AREA, f"/healthz: {answer.status_code}", _LOG, subject="http")


async def _ready(client: httpx2.AsyncClient) -> AsyncIterator[Finding]:
    answer = await client.get("/readyz")
    told = answer.json()
    if answer.is_success:
        yield ok("bridge", "it takes calls")
    else:
        yield failure("bridge", f"it takes no calls: {told['status']}", _LOG)
    problems = told.get("store", {}).get("problems")
    if problems:
        text = f"the running bridge keeps the last good store: the file has {problems} problems"
        yield warning("store", text, "correct the file: it is taken within a second")


async def _metrics(client: httpx2.AsyncClient, config: Config) -> Finding:
    token = config.auth.metrics_token
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    answer = await client.get("/metrics", headers=headers)
    if answer.is_success:
        return ok(_AREA, f"/metrics: {len(answer.content)} bytes", subject="metrics")
    advice = "was auth.metrics_token changed since the bridge was started?"
    return failure(_AREA, f"/metrics: {answer.status_code}", advice, subject="metrics")


async def _endpoint(client: httpx2.AsyncClient) -> Finding:
    """Return whether a request without a key is answered as gateways expect."""
    answer = await client.get(f"{PATH}?version=1.0")
    if answer.status_code == httpx2.codes.UNAUTHORIZED and "key required" in answer.text:
        return ok(_ENDPOINT, f"{client.base_url} asks for a gateway key, as it should")
    return failure(_ENDPOINT, f"without a key it answers {answer.status_code}, not 401", _LOG)


def _context(cert: Path | None) -> ssl.SSLContext:
    """Return a context that trusts our own certificate and no other, whatever its names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if cert is not None:
        with suppress(OSError):  # what is wrong with it is told with the settings
            context.load_verify_locations(cert)
    return context


def _local(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{_EVERYWHERE.get(host, host)}:{port}"
