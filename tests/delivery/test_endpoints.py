from __future__ import annotations

import pytest

from otelbridge.delivery.endpoints import GrpcTarget, endpoint_of, grpc_target
from otelbridge.domain.ports import Signal
from tests.delivery.fakes import destination


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://collector:4317", GrpcTarget("dns:///collector:4317", is_secure=False)),
        ("https://collector:4317/", GrpcTarget("dns:///collector:4317", is_secure=True)),
        ("http://collector", GrpcTarget("dns:///collector:4317", is_secure=False)),
        ("https://api.example.com", GrpcTarget("dns:///api.example.com:443", is_secure=True)),
        ("http://[::1]:4317", GrpcTarget("dns:///[::1]:4317", is_secure=False)),
    ],
)
def test_a_grpc_endpoint_is_host_and_port_and_its_scheme_says_whether_it_is_secure(
    endpoint: str, expected: GrpcTarget
) -> None:
    assert grpc_target(endpoint) == expected


def test_a_grpc_base_is_the_same_for_every_signal() -> None:
    config = destination("http://a:1", logs_endpoint="http://b:2")

    assert endpoint_of(config, Signal.TRACES) == "http://a:1"
    assert endpoint_of(config, Signal.LOGS) == "http://b:2"
