"""Endpoints are discovered from what servers publish, and only from what is theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelbridge.errors import OAuthError
from otelbridge.oauth.discovery import Metadata, discover, metadata_urls
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.resources import resource_metadata_urls
from tests.oauth.authorization_server import METADATA, Reply
from tests.oauth.login_server import LoginServer

if TYPE_CHECKING:
    pass

OPENID = "/.well-known/openid-configuration"


def document(server: LoginServer, issuer: str, **fields: object) -> dict[str, object]:
    """Return a document that is right, but for the fields."""
    return {"issuer": issuer, "token_endpoint": server.url("/token"), **fields}


async def refusal(http: OAuthHttp, server: LoginServer, issuer: str | None = None) -> str:
    with pytest.raises(OAuthError) as caught:
        await discover(http, issuer=issuer, resource=server.url("/mcp"))
    return str(caught.value)


async def test_an_issuer_is_asked_for_all_that_a_login_needs(
    http: OAuthHttp, server: LoginServer
) -> None:
    found = await discover(http, issuer=server.url(), resource="https://mcp.example.com/mcp")

    assert found == Metadata(
        issuer=server.url(),
        token_endpoint=server.url("/token"),
        authorization_endpoint=server.url("/authorize"),
        device_authorization_endpoint=server.url("/device"),
        revocation_endpoint=server.url("/revoke"),
        token_endpoint_auth_methods_supported=("client_secret_basic", "client_secret_post"),
        code_challenge_methods_supported=("S256",),
        authorization_response_iss_parameter_supported=True,
    )
    assert [request.path for request in server.requests] == [METADATA]


@pytest.mark.parametrize(
    ("issuer", "paths"),
    [
        ("https://a.example", [METADATA, OPENID]),
        ("https://a.example/", [METADATA, OPENID]),
        ("https://a.example/t/1", [f"{METADATA}/t/1", f"{OPENID}/t/1", f"/t/1{OPENID}"]),
        ("https://a.example/t/", [f"{METADATA}/t", f"{OPENID}/t", f"/t{OPENID}"]),
    ],
)
def test_an_issuers_documents_are_where_the_standards_put_them(
    issuer: str, paths: list[str]
) -> None:
    assert metadata_urls(issuer) == [f"https://a.example{path}" for path in paths]


@pytest.mark.parametrize(
    ("resource", "paths"),
    [
        ("https://m.example", [""]),
        ("https://m.example/", [""]),
        ("https://m.example/mcp", ["/mcp", ""]),
        ("https://m.example/a/mcp/", ["/a/mcp/", ""]),
        ("https://m.example/mcp?tenant=1", ["/mcp?tenant=1", ""]),
    ],
)
def test_an_mcp_servers_documents_are_where_the_standard_puts_them(
    resource: str, paths: list[str]
) -> None:
    well_known = "https://m.example/.well-known/oauth-protected-resource"

    assert resource_metadata_urls(resource) == [f"{well_known}{path}" for path in paths]


@pytest.mark.parametrize("path", [f"{METADATA}/t1", f"{OPENID}/t1", f"/t1{OPENID}"])
async def test_an_issuer_with_a_path_has_its_document_in_one_of_three_places(
    http: OAuthHttp, server: LoginServer, path: str
) -> None:
    issuer = server.url("/t1")
    server.documents[path] = document(server, issuer)

    found = await discover(http, issuer=issuer, resource=server.url("/mcp"))

    assert (found.issuer, found.token_endpoint) == (issuer, server.url("/token"))


async def test_what_is_no_document_does_not_hide_the_next_one(
    http: OAuthHttp, server: LoginServer
) -> None:
    server.documents[f"{METADATA}/t1"] = b"<!doctype html><title>Log in</title>"
    server.script(f"{OPENID}/t1", Reply(status=302, headers={"location": "/login"}))
    server.documents[f"/t1{OPENID}"] = document(server, server.url("/t1"))

    found = await discover(http, issuer=server.url("/t1"), resource=server.url("/mcp"))

    assert found.token_endpoint == server.url("/token")
    assert "/login" not in [request.path for request in server.requests]


async def test_a_document_of_another_issuer_is_not_used(
    http: OAuthHttp, server: LoginServer
) -> None:
    server.metadata["issuer"] = "https://honest.example"

    text = await refusal(http, server, server.url())

    assert f'issuer is "https://honest.example", not "{server.url()}"' in text


async def test_issuers_are_compared_as_plain_strings(http: OAuthHttp, server: LoginServer) -> None:
    assert f'not "{server.url("/")}"' in await refusal(http, server, server.url("/"))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"token_endpoint": None}, "token_endpoint is missing"),
        ({"token_endpoint": 7}, "token_endpoint is not a string"),
        ({"token_endpoint": "http://a.example/token"}, "http is for loopback addresses only"),
        ({"token_endpoint": "https://u:p@a.example/t"}, 'token_endpoint: "https://'),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint: "),
        ({"authorization_endpoint": "file:///etc/passwd"}, "authorization_endpoint: "),
        ({"authorization_endpoint": "https://a.example/\x1b[2J"}, "is not a URL"),
        ({"authorization_endpoint": "https://a.example/ -x"}, "is not a URL"),
        ({"revocation_endpoint": "https://a.example:99999/"}, "revocation_endpoint: "),
        ({"device_authorization_endpoint": "//a.example/d"}, "device_authorization_endpoint: "),
        ({"code_challenge_methods_supported": "S256"}, "is not a list of strings"),
        ({"code_challenge_methods_supported": [1]}, "is not a list of strings"),
        ({"authorization_response_iss_parameter_supported": "yes"}, "is not true or false"),
    ],
)
async def test_a_document_that_breaks_the_rules_is_not_used(
    http: OAuthHttp, server: LoginServer, fields: dict[str, object], problem: str
) -> None:
    server.metadata |= fields

    text = await refusal(http, server, server.url())

    assert problem in text
    assert text.isprintable()
    assert "u:p" not in text


async def test_a_server_with_tls_cannot_send_us_to_what_listens_here_without(
    http: OAuthHttp, server: LoginServer
) -> None:
    server.metadata["token_endpoint"] = "http://127.0.0.1:9/token"

    assert "is not https" in await refusal(http, server, server.url())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"issuer": "' + b"x" * 2_000_000]
)
async def test_garbage_is_one_line(http: OAuthHttp, server: LoginServer, body: bytes) -> None:
    server.script(METADATA, Reply(status=200, body=body))

    text = await refusal(http, server, server.url())

    assert len(text) <= 400
    assert "\n" not in text


async def test_an_issuer_without_tls_elsewhere_is_never_asked(
    http: OAuthHttp, server: LoginServer
) -> None:
    assert "http is for loopback" in await refusal(http, server, "http://a.example")
