"""Addresses and endpoints as people write them."""

from __future__ import annotations

import pytest

from otelbridge.config.addresses import check_endpoint, is_loopback, split_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051),
        ("[::1]:0", "[::1]", 0),
        ("my_host-1.example:65535", "my_host-1.example", 65535),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":1", "127.0.0.1", "::1:1", "[::1:1", "[x]:1", "a b:1", "http://h:1", "h/x:1", "\udcff:1"],
)
def test_what_names_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r" is not of the form HOST:PORT$"):
        split_address(text)


@pytest.mark.parametrize("port", ["", "65536", "-1", "1_0", "٣", "²", "9" * 5000])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(ValueError, match=r"^port \".*\" is not a number from 0 to 65535$"):
        split_address(f"localhost:{port}")


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("localhost.example:1", False),
    ],
)
def test_loopback_is_what_no_other_machine_reaches(address: str, *, is_local: bool) -> None:
    assert is_loopback(address) is is_local


@pytest.mark.parametrize(
    "url",
    ["http://h", "https://h:4318/v1/traces", "http://[::1]:4317", "http://h/a@b", "HTTP://H?k=v@w"],
)
def test_an_endpoint_is_an_http_url(url: str) -> None:
    check_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:4317",
        "grpc://h",
        "http://",
        "http:///x",
        "http://h:0",
        "http://h:65536",
        "http://[::",
    ],
)
def test_another_url_is_no_endpoint(url: str) -> None:
    with pytest.raises(ValueError, match=r" is not a URL of the form http\(s\)://HOST"):
        check_endpoint(url)


@pytest.mark.parametrize("url", ["http://h/a b", "http://h\n:1", "http://h/\x00", "http://\udcff"])
def test_an_endpoint_holds_printable_characters_only(url: str) -> None:
    with pytest.raises(ValueError, match=r"^\".*\" is not a URL"):
        check_endpoint(url)
