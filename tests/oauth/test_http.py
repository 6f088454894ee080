"""What is sent to authorization servers, and which answers are taken."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import re
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.domain.access import Secret
from otelbridge.errors import OAuthError
from otelbridge.oauth.http import Answer, OAuthHttp, check_url
from otelbridge.oauth.redaction import safe_words
from tests.oauth.authorization_server import AuthorizationServer, Reply

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator

    from tests.oauth.authorization_server import Authority

MIB = 1024 * 1024


@pytest.fixture
async def http(authority: Authority) -> AsyncIterator[OAuthHttp]:
    async with OAuthHttp(timeout_s=10, context=authority.client) as http:
        yield http


def answer(
    body: object = None, *, status: int = 200, sent: tuple[str, ...] = (), **headers: str
) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    secrets = tuple(Secret(text) for text in sent)
    return Answer(status, names, data, "https://login.example.com/token", secrets)


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com/token",
        "http://127.0.0.1:8080/t",
        "http://localhost/",
        "http://[::1]/",
    ],
)
def test_https_and_loopback_may_be_asked(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/token",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "ftp://127.0.0.1/",
        "https://",
        "https://user:CANARY@login.example.com/",
        "http://user:CANARY@127.0.0.1/",
        "file:///etc/passwd",
        "http://[::1/",
        "http://127.0.0.1:99999/",
        "https://exa\x00mple.com/",
        "https://\ud800.example.com/",
        "",
    ],
)
async def test_nothing_else_is_asked(http: OAuthHttp, url: str) -> None:
    with pytest.raises(OAuthError) as caught:
        await http.post(url, {"refresh_token": "CANARY"})

    assert caught.value.is_permanent
    assert "CANARY" not in str(caught.value)


async def test_a_form_is_sent_as_one_with_the_client_s_credentials_encoded(
    http: OAuthHttp, authorization: AuthorizationServer
) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "a+b c&d"}

    await http.post(authorization.url("/token"), form, basic=("id:1", Secret("s%:e")))

    (request,) = authorization.requests
    assert request.form == form
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["accept"] == "application/json"
    credentials = request.headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(credentials) == b"id%3A1:s%25%3Ae"


async def test_a_bearer_token_is_sent_with_a_get(
    http: OAuthHttp, authorization: AuthorizationServer
) -> None:
    access, _ = authorization.validator.issue("alice")

    known = await http.get(authorization.url("/user"), bearer=Secret(access))
    unknown = await http.get(authorization.url("/user"), bearer=Secret("x"))

    assert (known.status, unknown.status) == (200, 401)


@pytest.mark.parametrize("token", ["two\nlines", "naïve", "\x7f"])
async def test_a_token_that_no_header_can_hold_is_not_sent(
    http: OAuthHttp, authorization: AuthorizationServer, token: str
) -> None:
    with pytest.raises(OAuthError, match="the access token has characters that no header") as e:
        await http.get(authorization.url("/user"), bearer=Secret(token))

    assert token not in str(e.value)
    assert authorization.requests == []


async def test_a_redirect_is_not_followed(
    http: OAuthHttp, authorization: AuthorizationServer
) -> None:
    location = authorization.url("/user?token=CANARY")
    authorization.script("/token", Reply(status=302, headers={"location": location}))

    with pytest.raises(OAuthError) as caught:
        await http.post(authorization.url("/token"), {})

    assert str(caught.value) == (
        f"{authorization.url('/token')}: status 302: redirects are not followed"
    )
    assert not caught.value.is_permanent
    assert [request.path for request in authorization.requests] == ["/token"]


async def test_an_answer_of_a_mebibyte_is_read_and_a_larger_one_refused(
    http: OAuthHttp, authorization: AuthorizationServer
) -> None:
    authorization.script(
        "/token", Reply(status=200, body=b"x" * MIB), Reply(status=200, body=b"x" * (MIB + 1))
    )

    largest = await http.post(authorization.url("/token"), {})
    with pytest.raises(OAuthError, match="the answer is over 1048576 bytes"):
        await http.post(authorization.url("/token"), {})

    assert len(largest.body) == MIB


async def test_a_whole_exchange_has_one_time_limit(
    authority: Authority, authorization: AuthorizationServer
) -> None:
    authorization.script("/token", Reply(never=True))

    async with OAuthHttp(timeout_s=0.1, context=authority.client) as http:
        with pytest.raises(OAuthError) as caught:
            await http.post(authorization.url("/token"), {})

    assert str(caught.value) == f"{authorization.url('/token')}: timed out after 0.1 s"


async def test_a_server_that_drips_for_ever_has_the_same_limit(
    authority: Authority,
) -> None:
    async def drip(_: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not writer.is_closing():
                writer.write(b"x: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    async with (
        await asyncio.start_server(drip, "127.0.0.1", 0, ssl=authority.server) as server,
        OAuthHttp(timeout_s=0.2, context=authority.client) as http,
    ):
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(OAuthError, match=r"timed out after 0\.2 s"):
            await http.get(url)


async def test_a_server_that_never_begins_tls_is_given_up(authority: Authority) -> None:
    closed = asyncio.Event()

    async def silent(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read()
        writer.close()
        closed.set()

    async with (
        await asyncio.start_server(silent, "127.0.0.1", 0) as server,
        OAuthHttp(timeout_s=0.2, context=authority.client) as http,
    ):
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(OAuthError, match=r"no connection within 0\.1 s"):
            await http.get(url)
        await asyncio.wait_for(closed.wait(), 10)  # and the connection is closed


async def test_the_environment_names_no_proxy_and_no_password(
    authority: Authority,
    authorization: AuthorizationServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async with OAuthHttp(timeout_s=10, context=authority.client) as http:
        found = await http.get(authorization.url("/user"))

    assert found.status == 401


async def test_authorities_can_be_named_by_the_environment(
    authority: Authority, authorization: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))

    async with OAuthHttp(timeout_s=10) as http:
        found = await http.get(authorization.url("/user"))

    assert found.status == 401


async def test_plain_text_is_for_loopback(http: OAuthHttp) -> None:
    async with AuthorizationServer() as plain:
        found = await http.get(plain.url("/user"))

    assert found.status == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 100_000, b"{", b"CANARY"])
def test_what_is_no_json_object_is_told_without_it(body: bytes) -> None:
    with pytest.raises(OAuthError) as caught:
        answer(body).json()

    assert str(caught.value) == (
        "https://login.example.com/token: the answer (200) is not a JSON object"
    )
    assert not caught.value.is_permanent


@pytest.mark.parametrize(
    ("status", "code", "is_permanent"),
    [
        (400, "invalid_grant", True),
        (401, "invalid_client", True),
        (200, "bad_refresh_token", True),
        (404, None, True),
        (408, None, False),
        (429, "slow_down", False),
        (400, "authorization_pending", False),
        (500, "server_error", False),
        (503, None, False),
    ],
)
def test_a_failure_is_permanent_or_not(
    status: int, code: str | None, *, is_permanent: bool
) -> None:
    error = answer({"error": code}, status=status).error()

    assert (error.is_permanent, error.code, error.status) == (is_permanent, code or "", status)


def test_what_a_server_says_is_told_without_what_it_was_sent() -> None:
    body = {
        "error": "invalid_grant",
        "error_description": "token rt-1\u202e of user\x1b[31m x is over; try eyJhbG.ciOiJ9abcdef",
    }

    error = answer(body, status=400, sent=("rt-1",)).error()

    assert str(error) == (
        "https://login.example.com/token: status 400: invalid_grant: "
        r"token …\u202e of user\x1b[31m x is over; try …"
    )


def test_an_error_has_at_most_400_characters_and_no_part_of_a_url_that_may_be_secret() -> None:
    text = "see https://user:CANARY@a.example.com/x?code=CANARY#CANARY and " + "y " * 400

    error = OAuthError(text)

    assert len(str(error)) == 400
    assert str(error).startswith("see https://a.example.com/x and y y")
    assert len(str(answer({"error": "a " * 999}, status=400).error())) <= 400


@settings(deadline=None)
@given(
    text=st.text(),
    secret=st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789-_."), min_size=8),
)
def test_no_words_hold_a_secret_that_was_sent(text: str, secret: str) -> None:
    words = safe_words(f"{text}{secret}{text} {secret}", [Secret(secret)])

    assert secret not in words
    assert len(words) <= 200
    assert words.isprintable()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (f"try {'a' * 15}1, or not", "try …, or not"),
        ("try Zm9vYmFy/YmF6cXV4==!", "try …!"),
        (f"try {'xY' * 12}", "try …"),
        ("try eyJhbGciOi.x", "try eyJhbGciOi.x"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] it", "[SSL: CERTIFICATE_VERIFY_FAILED] it"),
        ("unsupported_response_type", "unsupported_response_type"),
    ],
)
def test_what_looks_like_a_token_is_hidden(words: str, shown: str) -> None:
    assert safe_words(words) == shown


@pytest.mark.parametrize("text", ["x" * 1_000_000, "x/" * 500_000, "https://a" * 100_000])
def test_a_megabyte_of_words_is_read_in_no_time(text: str) -> None:
    began = time.monotonic()

    error = answer({"error": text, "error_description": text}, status=400).error()

    assert len(str(error)) <= 400
    assert time.monotonic() - began < 5


def test_a_token_that_is_cut_is_hidden_too() -> None:
    text = f"{'a1' * 993} AT-0123456789abcdef"

    assert safe_words(text) == "… "


def test_prose_keeps_its_words() -> None:
    text = "The provided authorization grant is invalid, expired, or revoked (AADSTS700082)."

    assert safe_words(text) == text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
        ("Sun, 06 Nov 1994 08:49:27 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("1e3", None),
        ("\N{ARABIC-INDIC DIGIT SEVEN}", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    found = answer(retry_after=value, date="Sun, 06 Nov 1994 08:49:37 GMT").retry_after_s()

    assert found == seconds


def test_a_date_without_a_server_s_clock_is_held_against_our_own() -> None:
    found = answer(retry_after=formatdate(time.time() + 60, usegmt=True)).retry_after_s()

    assert found is not None
    assert 50 < found <= 60


def test_no_repr_of_an_answer_shows_what_it_holds() -> None:
    shown = repr(answer({"access_token": "CANARY"}, sent=("CANARY",), set_cookie="CANARY"))

    assert shown == "Answer(status=200, url='https://login.example.com/token', 26 bytes)"


async def test_requests_write_no_log_line(
    http: OAuthHttp, authorization: AuthorizationServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await http.post(authorization.url("/token"), {"refresh_token": "CANARY"})

    assert not [r for r in caplog.records if re.match("httpx|httpcore|otelbridge", r.name)]
