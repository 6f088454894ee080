"""The port that waits for the answer to a login: for that answer, and nothing else."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import httpx2
import pytest

from otelbridge.commands.mcp.loopback import Loopback, listening
from otelbridge.domain.access import Secret
from otelbridge.errors import ConfigError, OAuthError
from otelbridge.oauth.discovery import Metadata
from otelbridge.oauth.login import LoginRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ISSUER = "https://login.example.com"


def login_at(loopback: Loopback) -> LoginRequest:
    return LoginRequest(
        metadata=Metadata(issuer=ISSUER),
        client_id="bridge",
        scopes=(),
        resource="https://mcp.example.com/mcp",
        redirect_uri=loopback.redirect_uri,
    )


class Waiting:
    """A login that waits, and a browser."""

    def __init__(self, loopback: Loopback, browser: httpx2.AsyncClient) -> None:
        self.request = login_at(loopback)
        self.redirect_uri = loopback.redirect_uri
        self.browser = browser
        self.strays = 0
        self.code = asyncio.ensure_future(
            loopback.code(self.request, timeout_s=20.0, on_stray=self._stray)
        )

    def _stray(self) -> None:
        self.strays += 1

    async def bring(self, **answer: str) -> httpx2.Response:
        """Bring an answer; it has the right state if none is given."""
        answer = {"state": self.request.state.reveal(), **answer}
        return await self.browser.get(self.redirect_uri, params=answer)


@pytest.fixture
async def waiting() -> AsyncIterator[Waiting]:
    async with listening() as loopback, httpx2.AsyncClient(trust_env=False) as browser:
        waiting = Waiting(loopback, browser)
        yield waiting
        waiting.code.cancel()
        await asyncio.gather(waiting.code, return_exceptions=True)


async def test_the_answer_is_taken_and_the_page_has_nothing_of_it(waiting: Waiting) -> None:
    page = await waiting.bring(code="the-code", iss=ISSUER)

    assert await waiting.code == Secret("the-code")
    assert page.status_code == 200
    assert "the-code" not in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_an_answer_to_another_login_is_ignored_and_told_once(waiting: Waiting) -> None:
    strays = [await waiting.bring(state=state, code="evil") for state in ("x", "", "x" * 5000)]
    nameless = await waiting.browser.get(waiting.redirect_uri)
    assert {page.status_code for page in (*strays, nameless)} == {400}

    await waiting.bring(code="the-code")

    assert await waiting.code == Secret("the-code")
    assert waiting.strays == 1


async def test_an_error_to_another_login_does_not_end_this_one(waiting: Waiting) -> None:
    await waiting.bring(state="x", error="access_denied")

    assert not waiting.code.done()


async def test_a_second_answer_is_not_taken(waiting: Waiting) -> None:
    await waiting.bring(code="the-code")

    again = await waiting.bring(code="another")

    assert again.status_code == 404
    assert await waiting.code == Secret("the-code")


async def test_an_answer_of_another_server_ends_the_login(waiting: Waiting) -> None:
    page = await waiting.bring(code="c", iss="https://evil.example")

    assert page.status_code == 400
    with pytest.raises(OAuthError, match=r"the answer comes from \"https://evil\.example\""):
        await waiting.code


async def test_a_servers_words_are_no_html(waiting: Waiting) -> None:
    page = await waiting.bring(error="<script>alert(1)</script>", error_description="<b>&")

    assert "&lt;script&gt;alert(1)" in page.text
    assert "<script" not in page.text
    with pytest.raises(OAuthError):
        await waiting.code


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "DELETE"])
async def test_only_a_get_is_an_answer(waiting: Waiting, method: str) -> None:
    params = {"state": waiting.request.state.reveal(), "code": "c"}

    answer = await waiting.browser.request(method, waiting.redirect_uri, params=params)

    assert (answer.status_code, waiting.code.done()) == (404, False)


@pytest.mark.parametrize("path", ["/", "/callback/", "/callback/x", "/favicon.ico"])
async def test_there_is_one_path(waiting: Waiting, path: str) -> None:
    url = waiting.redirect_uri.replace("/callback", path)
    params = {"state": waiting.request.state.reveal(), "code": "c"}

    answer = await waiting.browser.get(url, params=params)

    assert (answer.status_code, waiting.code.done()) == (404, False)


async def test_a_page_that_calls_itself_by_our_address_is_not_answered(waiting: Waiting) -> None:
    params = {"state": waiting.request.state.reveal(), "code": "c"}
    host = {"host": "evil.example"}

    answer = await waiting.browser.get(waiting.redirect_uri, params=params, headers=host)

    assert (answer.status_code, waiting.code.done()) == (404, False)


async def test_a_flood_of_parameters_is_no_answer(waiting: Waiting) -> None:
    query = "&".join(["x=1"] * 200) + f"&state={waiting.request.state.reveal()}&code=c"

    answer = await waiting.browser.get(f"{waiting.redirect_uri}?{query}")

    assert (answer.status_code, waiting.code.done()) == (400, False)


async def test_a_connection_that_says_nothing_holds_nothing_up(waiting: Waiting) -> None:
    """Browsers open connections in advance."""
    url = httpx2.URL(waiting.redirect_uri)
    _, silent = await asyncio.open_connection(url.host, url.port)

    await waiting.bring(code="c")

    assert await waiting.code == Secret("c")
    silent.close()


async def test_nobody_else_on_the_network_can_answer() -> None:
    async with listening() as loopback:
        assert loopback.redirect_uri.startswith("http://127.0.0.1:")


async def test_the_wait_has_an_end() -> None:
    async with listening() as loopback:
        with pytest.raises(OAuthError, match=r"nobody logged in within 0\.01 s") as caught:
            await loopback.code(login_at(loopback), timeout_s=0.01, on_stray=lambda: None)

    assert loopback.redirect_uri in str(caught.value)


async def test_the_port_is_closed_afterwards() -> None:
    async with listening() as loopback:
        port = httpx2.URL(loopback.redirect_uri).port

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError, match=rf"^port {port} on 127\.0\.0\.1: Address already"):
            async with listening(port):
                pass
