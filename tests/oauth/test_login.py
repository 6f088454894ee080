"""A login with a browser: what is asked for, whose answer is believed, what comes of the code."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from otelbridge.domain.access import Grant, OAuth2Auth, Secret
from otelbridge.errors import OAuthError
from otelbridge.oauth.discovery import Metadata, discover
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.login import LoginRequest, check_pkce, redeem
from tests.oauth.authorization_server import Authority, Reply
from tests.oauth.login_server import LoginServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from otelbridge.store.tokens import Link

S = 1_000_000_000
NOW_NS = 1_798_761_600 * S
RESOURCE = "https://mcp.example.com/mcp"
REDIRECT = "http://127.0.0.1:49152/callback"
ISSUER = "https://login.example.com"
AUTH = OAuth2Auth(grant=Grant.REFRESH_TOKEN, client_id="bridge", scopes=("repo", "user"))
CONFIDENTIAL = replace(AUTH, client_id="confidential", client_secret=Secret("s3cret-of-the-client"))
# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def request_to(metadata: Metadata, auth: OAuth2Auth = AUTH) -> LoginRequest:
    return LoginRequest(
        metadata=metadata,
        client_id=auth.client_id,
        scopes=auth.scopes,
        resource=RESOURCE,
        redirect_uri=REDIRECT,
    )


def request(*, promises_iss: bool = False, issuer: str = ISSUER) -> LoginRequest:
    return request_to(
        Metadata(
            issuer=issuer,
            authorization_endpoint=f"{ISSUER}/authorize",
            authorization_response_iss_parameter_supported=promises_iss,
        )
    )


def refusal(login: LoginRequest, answer: dict[str, list[str]]) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        login.code_of(answer)
    return caught.value


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[LoginServer]:
    async with LoginServer(authority.server) as started:
        started.publish()
        yield started


@pytest.fixture
async def http(authority: Authority) -> AsyncIterator[OAuthHttp]:
    async with OAuthHttp(timeout_s=5.0, context=authority.client) as client:
        yield client


@pytest.fixture
async def metadata(http: OAuthHttp, server: LoginServer) -> Metadata:
    return await discover(http, issuer=server.url(), resource=RESOURCE)


async def answer_to(login: LoginRequest, authority: Authority) -> dict[str, list[str]]:
    """Log in with a browser; return what it would bring to the redirect."""
    async with httpx2.AsyncClient(verify=authority.client, trust_env=False) as browser:
        answer = await browser.get(login.url)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{REDIRECT}?")
    return parse_qs(urlsplit(answer.headers["location"]).query)


async def logged_in(
    http: OAuthHttp, login: LoginRequest, authority: Authority, auth: OAuth2Auth = AUTH
) -> Link:
    code = login.code_of(await answer_to(login, authority))
    return await redeem(http, login, auth, code, now_ns=NOW_NS)


def test_the_request_asks_for_a_code_with_pkce_for_this_resource() -> None:
    login = replace(request(), verifier=Secret(VERIFIER), state=Secret("st"))

    assert login.url.startswith(f"{ISSUER}/authorize?")
    assert parse_qs(urlsplit(login.url).query, strict_parsing=True) == {
        "response_type": ["code"],
        "client_id": ["bridge"],
        "redirect_uri": [REDIRECT],
        "scope": ["repo user"],
        "state": ["st"],
        "code_challenge": [CHALLENGE],
        "code_challenge_method": ["S256"],
        "resource": [RESOURCE],
    }


def test_a_query_of_the_endpoint_stays() -> None:
    login = request()
    metadata = replace(login.metadata, authorization_endpoint=f"{ISSUER}/a?tenant=1#x")

    url = urlsplit(replace(login, metadata=metadata).url)

    assert (parse_qs(url.query)["tenant"], url.fragment) == (["1"], "")


def test_every_request_has_a_state_and_a_verifier_of_its_own() -> None:
    drawn = [request() for _ in range(50)]

    assert len({login.state for login in drawn} | {login.verifier for login in drawn}) == 100
    assert {len(login.verifier.reveal()) for login in drawn} == {43}


def test_nothing_shows_the_state_or_the_verifier() -> None:
    login = request()

    assert login.state.reveal() not in repr(login)
    assert login.verifier.reveal() not in repr(login) + login.url


@pytest.mark.parametrize("states", [[], [""], ["x"], ["é\U0001f511"], ["", ""]])
def test_an_answer_with_another_state_is_not_to_this_request(states: list[str]) -> None:
    login = request()

    assert not login.is_answered_by({"state": states, "code": ["c"]})
    assert not login.is_answered_by({"state": [login.state.reveal(), *states, "x"]})
    assert login.is_answered_by({"state": [login.state.reveal()]})


@pytest.mark.parametrize("promises_iss", [True, False])
def test_the_code_of_the_issuers_answer_is_taken(*, promises_iss: bool) -> None:
    login = request(promises_iss=promises_iss)

    assert login.code_of({"code": ["c"], "iss": [ISSUER]}) == Secret("c")


def test_an_answer_without_iss_is_taken_where_none_is_promised() -> None:
    assert request().code_of({"code": ["c"]}) == Secret("c")


def test_an_answer_without_iss_is_refused_where_one_is_promised() -> None:
    assert "no iss" in str(refusal(request(promises_iss=True), {"code": ["c"]}))


@pytest.mark.parametrize("promises_iss", [True, False])
@pytest.mark.parametrize(
    "named", [["https://evil.example"], [f"{ISSUER}/"], [""], [ISSUER, ISSUER], ["\x1b[31mred"]]
)
def test_an_answer_of_another_server_is_refused_and_its_words_are_not_told(
    named: list[str], *, promises_iss: bool
) -> None:
    """What a server says that was not asked must not be shown (mix-up)."""
    answer = {
        "iss": named,
        "code": ["the-code"],
        "error": ["call_us"],
        "error_description": ["call +1 555 0100"],
    }

    text = str(refusal(request(promises_iss=promises_iss), answer))

    assert "the answer comes from" in text
    assert text.isprintable()
    assert not any(word in text for word in ("the-code", "call_us", "555"))


def test_without_a_known_issuer_iss_says_nothing() -> None:
    login = request(issuer="")

    assert login.code_of({"code": ["c"], "iss": ["https://whoever.example"]}) == Secret("c")


def test_a_refusal_is_told_in_the_servers_words() -> None:
    answer = {"error": ["access_denied"], "error_description": ["The user said no."]}

    error = refusal(request(), answer)

    assert str(error) == "the authorization server answers access_denied: The user said no."
    assert error.code == "access_denied"


def test_a_refusals_words_can_do_nothing_to_a_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\r\nError: paste this into your shell\u202e" + "x " * 5000
    answer = {"error": ["\x1b[31mred"], "error_description": [hostile]}

    text = str(refusal(request(), answer))

    assert text.isprintable()
    assert len(text) <= 400
    assert r"\x1b]0;owned\x07" in text


def test_a_refusal_wins_over_a_code() -> None:
    assert refusal(request(), {"error": ["server_error"], "code": ["c"]}).code == "server_error"


@pytest.mark.parametrize("codes", [[], [""], ["a", "b"]])
def test_an_answer_has_one_code(codes: list[str]) -> None:
    assert "one is expected" in str(refusal(request(), {"code": codes}))


@pytest.mark.parametrize("methods", [(), ("plain",), ("s256",), ("\x1b[2J",)])
def test_without_the_promise_of_s256_there_is_no_login(methods: tuple[str, ...]) -> None:
    metadata = Metadata(issuer=ISSUER, code_challenge_methods_supported=methods)

    with pytest.raises(OAuthError, match="S256 is needed") as caught:
        check_pkce(metadata, AUTH)

    assert str(caught.value).isprintable()


def test_the_operators_word_is_as_good_as_that_promise() -> None:
    check_pkce(Metadata(issuer=ISSUER), replace(AUTH, authorization_url=f"{ISSUER}/a"))
    check_pkce(Metadata(issuer=ISSUER, code_challenge_methods_supported=("plain", "S256")), AUTH)


@pytest.mark.parametrize("auth", [AUTH, CONFIDENTIAL])
async def test_a_code_becomes_tokens(
    http: OAuthHttp,
    server: LoginServer,
    metadata: Metadata,
    authority: Authority,
    auth: OAuth2Auth,
) -> None:
    link = await logged_in(http, request_to(metadata, auth), authority, auth)

    assert server.validator.access_tokens[link.access_token.reveal()].user == "alice"
    assert link.refresh_token is not None
    assert link.refresh_token.reveal() in server.validator.refresh_tokens
    assert (link.expires_at_ns, link.scopes) == (NOW_NS + 3600 * S, ("repo", "user"))
    [sent] = server.seen("/token")
    assert (sent.form["grant_type"], sent.form["resource"]) == ("authorization_code", RESOURCE)


async def test_a_client_that_may_only_send_its_secret_in_the_form_does(
    http: OAuthHttp, server: LoginServer, metadata: Metadata, authority: Authority
) -> None:
    server.validator.auth_methods = ("client_secret_post",)
    metadata = replace(metadata, token_endpoint_auth_methods_supported=("client_secret_post",))

    await logged_in(http, request_to(metadata, CONFIDENTIAL), authority, CONFIDENTIAL)

    [sent] = server.seen("/token")
    assert sent.form["client_secret"] == "s3cret-of-the-client"
    assert "authorization" not in sent.headers


async def test_a_stolen_code_is_of_no_use_without_the_verifier(
    http: OAuthHttp, metadata: Metadata, authority: Authority
) -> None:
    login = request_to(metadata)
    stolen = login.code_of(await answer_to(login, authority))

    with pytest.raises(OAuthError) as caught:
        await redeem(http, request_to(metadata), AUTH, stolen, now_ns=NOW_NS)

    assert caught.value.code == "invalid_grant"
    assert stolen.reveal() not in str(caught.value)


async def test_a_code_is_good_once(
    http: OAuthHttp, metadata: Metadata, authority: Authority
) -> None:
    login = request_to(metadata)
    code = login.code_of(await answer_to(login, authority))
    await redeem(http, login, AUTH, code, now_ns=NOW_NS)

    with pytest.raises(OAuthError) as caught:
        await redeem(http, login, AUTH, code, now_ns=NOW_NS)

    assert caught.value.code == "invalid_grant"


async def test_credentials_follow_no_redirect(
    http: OAuthHttp, server: LoginServer, metadata: Metadata, authority: Authority
) -> None:
    async with LoginServer(authority.server) as evil:
        server.script("/token", Reply(status=307, headers={"location": evil.url("/token")}))

        with pytest.raises(OAuthError, match="redirects are not followed"):
            await logged_in(http, request_to(metadata, CONFIDENTIAL), authority, CONFIDENTIAL)

        assert evil.requests == []


async def test_the_token_endpoints_refusal_repeats_nothing_that_was_sent(
    http: OAuthHttp, server: LoginServer, metadata: Metadata, authority: Authority
) -> None:
    login = request_to(metadata, CONFIDENTIAL)
    code = login.code_of(await answer_to(login, authority))
    sent = (code.reveal(), login.verifier.reveal(), "s3cret-of-the-client")
    answer = {"error": "invalid_grant", "error_description": f"you sent {' '.join(sent)}"}
    server.script("/token", Reply(status=400, body=json.dumps(answer).encode()))

    with pytest.raises(OAuthError) as caught:
        await redeem(http, login, CONFIDENTIAL, code, now_ns=NOW_NS)

    assert "you sent" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in sent)


@pytest.mark.parametrize(
    ("scope", "scopes"), [(None, ("repo", "user")), ("repo", ("repo",)), ("", ("repo", "user"))]
)
async def test_a_server_that_names_no_scopes_granted_those_asked_for(
    http: OAuthHttp,
    server: LoginServer,
    metadata: Metadata,
    authority: Authority,
    scope: str | None,
    scopes: tuple[str, ...],
) -> None:
    named = "" if scope is None else f', "scope": "{scope}"'
    body = f'{{"access_token": "AT", "token_type": "bearer"{named}}}'.encode()
    server.script("/token", Reply(status=200, body=body))

    link = await logged_in(http, request_to(metadata), authority)

    assert (link.scopes, link.refresh_token, link.expires_at_ns) == (scopes, None, None)
