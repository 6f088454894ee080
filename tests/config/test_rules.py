"""Rules that concern several sections: exposure, destinations, events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otelbridge.config import build_config
from otelbridge.errors import ConfigError

_TLS = {"cert": "a", "key": "b"}
_INSECURE = "or set listen.insecure = true"


def _problem(**sections: Any) -> str:
    """Return what is wrong with the sections; nothing if they are right."""
    try:
        build_config(sections, {}, base=Path())
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "127.9.9.9:1", "localhost:1", "[::1]:1"], ids=str
)
def test_loopback_needs_no_protection(address: str) -> None:
    assert _problem(listen={"grpc": address, "http": address}) == ""


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "bridge.example:1"])
def test_grpc_elsewhere_needs_tls(address: str) -> None:
    assert _problem(listen={"grpc": address}) == (
        f"listen.grpc: {address} needs [tls] cert and key, {_INSECURE}"
    )


def test_grpc_elsewhere_with_tls_is_served() -> None:
    assert _problem(listen={"grpc": "0.0.0.0:1"}, tls=_TLS) == ""


def test_grpc_elsewhere_cannot_be_open_to_all() -> None:
    assert _problem(listen={"grpc": "0.0.0.0:1"}, tls=_TLS, auth={"grpc": "open"}) == (
        f'auth.grpc: "open" is for loopback addresses only, {_INSECURE}'
    )


def test_clients_certificates_stand_for_keys() -> None:
    tls = {**_TLS, "client_ca": "c"}

    assert _problem(listen={"grpc": "0.0.0.0:1"}, tls=tls, auth={"grpc": "open"}) == ""


def test_gateways_elsewhere_need_tls() -> None:
    auth = {"metrics_token": "t"}

    assert _problem(listen={"http": "0.0.0.0:8088"}, tls=_TLS, auth=auth) == (
        "listen.http: 0.0.0.0:8088 needs [tls] http = true with cert and key, " + _INSECURE
    )


def test_metrics_elsewhere_need_a_token() -> None:
    tls = {**_TLS, "http": True}

    assert _problem(listen={"http": "0.0.0.0:8088"}, tls=tls) == (
        f"listen.http: 0.0.0.0:8088 needs auth.metrics_token, {_INSECURE}"
    )
    assert _problem(listen={"http": "0.0.0.0:8088"}, tls=tls, auth={"metrics_token": "t"}) == ""


def test_tls_for_http_needs_a_certificate() -> None:
    assert _problem(tls={"http": True}) == "tls: http = true needs cert and key"


def test_whoever_says_so_listens_unprotected() -> None:
    listen = {"grpc": "0.0.0.0:1", "http": "0.0.0.0:2", "insecure": True}

    assert _problem(listen=listen, auth={"grpc": "open"}) == ""


def test_there_is_a_bit_for_each_of_32_destinations() -> None:
    tables = [{"name": f"d{n}", "endpoint": "http://h"} for n in range(33)]

    assert _problem(destination=tables[:32]) == ""
    assert _problem(destination=tables) == "destination: 33 given, at most 32"


def test_where_only_metrics_go_the_global_events_mean_nothing() -> None:
    metrics = {"name": "m", "endpoint": "http://h", "signals": ["metrics"]}
    logs = {"name": "l", "endpoint": "http://h", "signals": ["traces", "logs"]}

    assert _problem(telemetry={"events": "log"}, destination=[metrics, logs]) == ""
