"""The client side of replay and demo."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from otelbridge.config.sections import TlsConfig
from otelbridge.errors import ConfigError, InvalidRequestError, UnauthenticatedError
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.transports.capture import CapturedCall
from otelbridge.transports.certificates import CertificateFiles
from otelbridge.transports.client import Results, send_calls
from otelbridge.transports.target import Target, connected
from tests.transports.fakes import RIGHT_KEY, TOKENS
from tests.transports.gateway.worlds import running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from otelbridge.transports.grpc_server import GrpcServer

    Serve = Callable[..., Awaitable[GrpcServer]]

_KINDS: dict[str, Callable[[str], Any]] = {
    "RecordInterception": lambda name: pb.RecordInterceptionRequest(id=name),
    "RecordPromptUsage": lambda name: pb.RecordPromptUsageRequest(interception_id=name),
    "RecordInterceptionEnded": lambda name: pb.RecordInterceptionEndedRequest(id=name),
}


def _call(kind: str, interception: str, at_s: float) -> CapturedCall:
    return CapturedCall(rpc=f"Recorder/{kind}", at_s=at_s, request=_KINDS[kind](interception))


class Recorder:
    """Servicers that remember when each call came and when it was answered."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """Return handlers for the three kinds."""
        return {f"/proto.Recorder/{kind}": self._handler(kind) for kind in _KINDS}

    def _handler(self, kind: str) -> Callable[..., Any]:
        async def handler(request: Any, _call: Any) -> Any:
            name = getattr(request, "id", "") or request.interception_id
            self.log.append(("came", f"{kind} {name}"))
            for _ in range(20):  # a start takes longer than what is sent after it
                if kind == "RecordInterception":
                    await asyncio.sleep(0)
            self.log.append(("answered", f"{kind} {name}"))
            return pb.RecordInterceptionResponse()

        return handler

    def of(self, name: str) -> list[tuple[str, str]]:
        """Return what happened to one interception."""
        return [(what, call) for what, call in self.log if call.endswith(f" {name}")]


async def _send(
    started: GrpcServer, calls: Sequence[CapturedCall], key: str | None = None, **options: Any
) -> Results:
    async with connected(Target(address=started.address), key=key) as caller:
        return await send_calls(caller, calls, **options)


@pytest.mark.parametrize("speed", [None, 1000.0])
async def test_a_start_is_acknowledged_before_the_rest_of_its_interception_is_sent(
    serve: Serve, speed: float | None
) -> None:
    recorder = Recorder()
    started = await serve(recorder.handlers())
    calls = [
        _call(kind, name, 0.0)
        for kind in ("RecordInterception", "RecordPromptUsage", "RecordInterceptionEnded")
        for name in "abcdefgh"
    ]

    results = await _send(started, calls, speed=speed)

    assert results.total == len(calls)
    for name in "abcdefgh":
        first = [("came", f"RecordInterception {name}"), ("answered", f"RecordInterception {name}")]
        assert recorder.of(name)[:2] == first


async def test_at_full_speed_the_calls_of_an_interception_keep_their_order(serve: Serve) -> None:
    recorder = Recorder()
    started = await serve(recorder.handlers())
    kinds = ["RecordInterceptionEnded", "RecordPromptUsage", "RecordInterception"]

    await _send(started, [_call(kind, "a", at) for at, kind in enumerate(kinds)], speed=None)

    assert [call for what, call in recorder.log if what == "came"] == [f"{k} a" for k in kinds]


@pytest.mark.parametrize(("speed", "seconds"), [(10.0, 0.1), (5.0, 0.2), (None, 0.0)])
async def test_the_pace_is_as_recorded_divided_by_the_speed(
    serve: Serve, speed: float | None, seconds: float
) -> None:
    started = await serve(Recorder().handlers())
    calls = [_call("RecordPromptUsage", "a", 3.0), _call("RecordPromptUsage", "a", 4.0)]
    clock = asyncio.get_running_loop().time
    answered: list[float] = []

    await _send(started, calls, speed=speed, on_answer=lambda: answered.append(clock()))

    assert seconds - 0.03 < answered[1] - answered[0] < seconds + 0.5


async def test_every_answer_is_counted_by_method_and_code_and_told(serve: Serve) -> None:
    async def refuse(_request: Any, _call: Any) -> Any:
        raise InvalidRequestError("empty API key ID")

    started = await serve({"/proto.Recorder/RecordInterception": refuse})
    calls = [_call("RecordInterception", "a", 0.0), _call("RecordPromptUsage", "a", 0.1)]
    told: list[int] = []

    results = await _send(started, [*calls, *calls], speed=None, on_answer=lambda: told.append(1))

    assert results.codes == {
        ("Recorder/RecordInterception", "INVALID_ARGUMENT"): 2,
        ("Recorder/RecordPromptUsage", "OK"): 2,
    }
    assert results.texts == {
        ("Recorder/RecordInterception", "INVALID_ARGUMENT"): "empty API key ID"
    }
    assert len(told) == 4


@pytest.mark.parametrize(("key", "code"), [(None, "UNAUTHENTICATED"), (RIGHT_KEY, "OK")])
async def test_the_key_is_shown_with_every_call(serve: Serve, key: str | None, code: str) -> None:
    started = await serve(is_open=False)
    rpc = TOKENS.removeprefix("/proto.")
    request = pb.GetMCPServerAccessTokensBatchRequest()

    results = await _send(
        started, [CapturedCall(rpc=rpc, at_s=0, request=request)], speed=None, key=key
    )

    assert results.codes == {(rpc, code): 1}


async def test_a_stream_is_left_after_its_first_message(serve: Serve) -> None:
    started = await serve()
    rpc = "ProviderConfigurator/WatchAIProviders"

    results = await _send(
        started,
        [CapturedCall(rpc=rpc, at_s=0, request=pb.WatchAIProvidersRequest())],
        speed=None,
    )

    assert results.codes == {(rpc, "OK"): 1}


async def test_an_error_of_a_stream_is_counted(serve: Serve) -> None:
    async def refuse(_request: Any, _call: Any) -> Any:
        raise UnauthenticatedError("no")
        yield

    rpc = "ProviderConfigurator/WatchAIProviders"
    started = await serve({f"/proto.{rpc}": refuse})

    results = await _send(
        started,
        [CapturedCall(rpc=rpc, at_s=0, request=pb.WatchAIProvidersRequest())],
        speed=None,
    )

    assert results.codes == {(rpc, "UNAUTHENTICATED"): 1}


@pytest.mark.parametrize(
    ("rpc", "code", "unexpected"),
    [
        ("Recorder/RecordPromptUsage", "OK", 0),
        ("Recorder/RecordPromptUsage", "UNAUTHENTICATED", 1),
        ("Recorder/RecordPromptUsage", "INVALID_ARGUMENT", 1),
        ("Authorizer/IsAuthorized", "UNAUTHENTICATED", 0),
        ("Authorizer/IsAuthorized", "PERMISSION_DENIED", 0),
        ("Authorizer/IsAuthorized", "ERROR", 0),
        ("Recorder/RecordPromptUsage", "ERROR", 1),
        ("Authorizer/IsAuthorized", "INTERNAL", 1),
        ("Authorizer/IsAuthorized", "UNAVAILABLE", 1),
        ("Authorizer/IsAuthorized", "UNIMPLEMENTED", 1),
    ],
)
def test_what_a_store_may_say_is_expected_and_a_lost_record_is_not(
    rpc: str, code: str, unexpected: int
) -> None:
    results = Results()

    results.add(rpc, code)

    assert results.unexpected == unexpected


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("grpc://127.0.0.1:50051", Target(address="127.0.0.1:50051")),
        ("grpc://[::1]:50051/", Target(address="[::1]:50051")),
        ("grpcs://bridge.example:443", Target(address="bridge.example:443", secure=True)),
        ("ws://127.0.0.1:8088", Target(address="127.0.0.1:8088", is_gateway=True)),
        (
            "wss://bridge.example:443/",
            Target(address="bridge.example:443", secure=True, is_gateway=True),
        ),
    ],
)
def test_a_target_is_a_url(url: str, target: Target) -> None:
    assert Target.parse(url) == target
    assert target.url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:50051",
        "grpc://127.0.0.1",
        "grpc://:50051",
        "grpc://h:0",
        "grpc://h:99999",
        "grpc://h:x",
        "grpc://h:1/path",
        "grpc://user:secret@h:1",
        "http://h:1",
        "ws://h",
        "ws://h:1/path",
        "wss://user:secret@h:1",
        "grpc://[::1:1",
        "",
    ],
)
def test_what_is_no_target_is_said_so(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not of the form grpc://HOST:PORT or ws://HOST:PORT$"):
        Target.parse(url)


@pytest.mark.parametrize("scheme", ["grpc", "ws"])
def test_a_ca_without_tls_is_a_mistake(tmp_path: Path, scheme: str) -> None:
    with pytest.raises(ValueError, match=rf"^a CA is for {scheme}s://HOST:PORT$"):
        Target.parse(f"{scheme}://h:1", ca=tmp_path / "ca.pem")


async def test_tls_is_verified_by_the_given_authority(serve: Serve, tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    config = TlsConfig(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    started = await serve(certificates=CertificateFiles(config))
    url = f"grpcs://localhost:{started.address.rpartition(':')[2]}"

    async with connected(Target.parse(url, ca=tmp_path / "ca.pem")) as caller:
        results = await send_calls(caller, [_call("RecordPromptUsage", "a", 0)], speed=None)

    assert results.codes == {("Recorder/RecordPromptUsage", "OK"): 1}


async def test_where_nobody_listens_it_is_said_at_once_and_in_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        async with asyncio.timeout(2), connected(Target(address="127.0.0.1:1")):
            pass

    assert str(caught.value) == "no bridge answers at grpc://127.0.0.1:1"


async def test_somebody_who_says_nothing_is_waited_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("otelbridge.transports.target._CONNECT_LIMIT_S", 0.2)

    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(ConfigError) as caught:
            async with connected(Target(address=address)):
                pass

    assert str(caught.value) == f"no bridge answers at grpc://{address} within 0.2 s"


@pytest.mark.parametrize("is_gateway", [True, False])
async def test_a_missing_authority_file_is_named(tmp_path: Path, *, is_gateway: bool) -> None:
    target = Target(address="h:1", secure=True, ca=tmp_path / "ca.pem", is_gateway=is_gateway)

    with pytest.raises(ConfigError) as caught:
        async with connected(target):
            pass

    assert str(caught.value) == f"--ca: {tmp_path}/ca.pem: No such file or directory"


@pytest.mark.parametrize("is_gateway", [True, False])
async def test_an_authority_file_that_holds_none_is_named(
    tmp_path: Path, *, is_gateway: bool
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("nothing")

    with pytest.raises(ConfigError) as caught:
        async with connected(Target(address="h:1", secure=True, ca=ca, is_gateway=is_gateway)):
            pass

    assert str(caught.value) == f"--ca: {ca} holds no certificate (PEM)"


@pytest.mark.parametrize("speed", [None, 1000.0])
async def test_a_gateways_calls_are_sent_in_their_order_too(speed: float | None) -> None:
    recorder = Recorder()
    kinds = ("RecordInterception", "RecordPromptUsage", "RecordInterceptionEnded")
    calls = [_call(kind, name, 0.0) for kind in kinds for name in "abcdefgh"]

    async with running(recorder.handlers()) as world:
        target = Target.parse(world.url)
        async with connected(target, key=RIGHT_KEY) as caller:
            results = await send_calls(caller, calls, speed=speed)

    assert results.codes == {(f"Recorder/{kind}", "OK"): 8 for kind in kinds}
    for name in "abcdefgh":
        first = [("came", f"RecordInterception {name}"), ("answered", f"RecordInterception {name}")]
        assert recorder.of(name)[:2] == first


async def test_a_gateways_stream_is_left_after_its_first_message() -> None:
    rpc = "ProviderConfigurator/WatchAIProviders"
    watching = CapturedCall(rpc=rpc, at_s=0, request=pb.WatchAIProvidersRequest())

    async with running() as world, connected(Target.parse(world.url), key=RIGHT_KEY) as caller:
        results = await send_calls(caller, [watching], speed=None)

    assert results.codes == {(rpc, "OK"): 1}
