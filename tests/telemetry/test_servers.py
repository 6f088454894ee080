"""MCP servers: no secret of a URL is told, and errors are few words."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otelbridge.telemetry.servers import server_address, server_attributes, tool_error_type
from tests.telemetry.told import Value, attributes


def told(url: str) -> dict[str, Value]:
    """Return what is told of a URL."""
    return attributes(KeyValue.FromString(pair[1:]) for pair in server_attributes(url))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://user:pw@MCP.example.com:8443/a/b?key=pw#pw", "mcp.example.com"),
        ("http://[::1]:8080/mcp", "::1"),
        ("http://pw@[::1/", "unknown"),
        ("user:pw@host/mcp?key=pw", "unknown"),
        ("ftp://host/pw", "unknown"),
        ("http://host/" + "a" * 2000, "unknown"),
    ],
)
def test_an_address_alone_is_the_one_that_is_told_of_the_url(url: str, address: str) -> None:
    assert server_address(url) == told(url).get("server.address", "unknown") == address


def test_a_url_is_told_without_user_information_query_and_fragment() -> None:
    found = told("https://user:pw@MCP.example.com:8443/a/b?key=pw#pw")

    assert found == {
        "server.address": "mcp.example.com",
        "server.port": 8443,
        "aibridge.mcp.server.url": "https://mcp.example.com:8443/a/b",
    }


@pytest.mark.parametrize(
    ("url", "port"), [("http://h/x", 80), ("https://h/x", 443), ("http://h:81/x", 81)]
)
def test_a_port_that_is_left_out_is_the_schemes(url: str, port: int) -> None:
    assert told(url)["server.port"] == port


def test_an_ipv6_address_stays_in_brackets_in_the_url() -> None:
    found = told("http://[::1]:8080/mcp")

    assert found["server.address"] == "::1"
    assert found["aibridge.mcp.server.url"] == "http://[::1]:8080/mcp"


@pytest.mark.parametrize(
    "url",
    [
        "user:pw@host/mcp?key=pw",
        "host.example.com/mcp?key=pw",
        "ftp://host/pw",
        "http://",
        "http://host:99999/",
        "http://[::1/",
        "",
        "http://host/" + "a" * 2000,
    ],
)
def test_what_is_no_http_url_is_not_told_at_all(url: str) -> None:
    assert told(url) == {}


@pytest.mark.parametrize(
    ("message", "error_type"),
    [
        ("context deadline exceeded", "timeout"),
        ("request timed out, connection reset", "timeout"),
        ("net/http: TLS handshake timeout", "timeout"),
        ("context canceled", "cancelled"),
        ("call was cancelled", "cancelled"),
        ("401 Unauthorized", "unauthorized"),
        ("server said: 403", "unauthorized"),
        ("permission denied", "unauthorized"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", "connection_error"),
        ("unexpected EOF", "connection_error"),
        ("lookup x: no such host", "connection_error"),
        ("tool not found: x", "tool_error"),
        ("isError: true", "tool_error"),
        ("tracker database is locked", "_OTHER"),
        ("order 14031", "_OTHER"),
        ("x" * 5000 + " timeout", "_OTHER"),
    ],
)
def test_a_tools_error_is_named_by_the_first_word_that_fits(message: str, error_type: str) -> None:
    assert tool_error_type(message) == error_type
