"""An MCP server names its authorization server, and is believed what is its own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from otelbridge.domain.access import Grant, OAuth2Auth
from otelbridge.errors import OAuthError
from otelbridge.oauth.discovery import Metadata, discover
from otelbridge.oauth.endpoints import endpoints_of
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.urls import is_same_origin, is_same_resource
from tests.oauth.authorization_server import METADATA, Authority, Reply
from tests.oauth.login_server import RESOURCE_METADATA, LoginServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def another(authority: Authority) -> AsyncIterator[LoginServer]:
    async with LoginServer(authority.server) as started:
        started.publish()
        yield started


def auth_of(server: LoginServer, **fields: object) -> OAuth2Auth:
    auth = OAuth2Auth(grant=Grant.REFRESH_TOKEN, client_id="bridge", issuer=server.url())
    return replace(auth, **fields)  # type: ignore[arg-type]  # by name


def names_itself(server: LoginServer, **fields: object) -> None:
    """Let the MCP server name the authorization server on the same port."""
    server.documents[RESOURCE_METADATA] = {
        "resource": server.url("/mcp"),
        "authorization_servers": [server.url()],
        **fields,
    }


async def refusal(http: OAuthHttp, server: LoginServer, issuer: str | None = None) -> str:
    with pytest.raises(OAuthError) as caught:
        await discover(http, issuer=issuer, resource=server.url("/mcp"))
    return str(caught.value)


async def test_the_mcp_server_names_its_authorization_server(
    http: OAuthHttp, server: LoginServer
) -> None:
    names_itself(server)

    found = await discover(http, issuer=None, resource=server.url("/mcp"))

    assert found.issuer == server.url()


async def test_the_challenge_of_the_mcp_server_comes_before_the_well_known_places(
    http: OAuthHttp, server: LoginServer
) -> None:
    server.challenge = (
        f'Basic realm="a, resource_metadata=no", Bearer error="x",'
        f' Resource_Metadata = "{server.url("/some/where")}", scope="repo"'
    )
    server.documents["/some/where"] = {
        "resource": server.url("/mcp"),
        "authorization_servers": [server.url()],
    }

    await discover(http, issuer=None, resource=server.url("/mcp"))

    assert [seen.path for seen in server.requests] == ["/mcp", "/some/where", METADATA]


async def test_the_document_at_the_root_may_speak_of_the_whole_origin(
    http: OAuthHttp, server: LoginServer
) -> None:
    server.documents["/.well-known/oauth-protected-resource"] = {
        "resource": server.url("/"),
        "authorization_servers": [server.url()],
    }

    found = await discover(http, issuer=None, resource=server.url("/mcp"))

    assert found.issuer == server.url()


@pytest.mark.parametrize("resource", ["https://other.example/mcp", "/mcp", 3, None])
async def test_a_document_about_another_resource_is_not_used(
    http: OAuthHttp, server: LoginServer, resource: object
) -> None:
    names_itself(server, resource=resource)

    assert "resource is" in await refusal(http, server)
    assert server.count(METADATA) == 0


async def test_only_the_document_at_the_root_speaks_of_the_whole_origin(
    http: OAuthHttp, server: LoginServer
) -> None:
    names_itself(server, resource=server.url("/"))

    assert f'resource is "{server.url("/")}"' in await refusal(http, server)


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer resource_metadata="http://169.254.169.254/latest"',
        'Bearer resource_metadata="http://127.0.0.1:9/admin"',
        'Bearer resource_metadata="file:///etc/passwd"',
        "Bearer resource_metadata=ftp://a.example/x",
    ],
)
async def test_a_challenge_cannot_send_us_where_there_is_no_tls(
    http: OAuthHttp, server: LoginServer, challenge: str
) -> None:
    names_itself(server)
    server.challenge = challenge

    assert "https" in await refusal(http, server)
    assert [seen.path for seen in server.requests] == ["/mcp"]


async def test_an_mcp_server_cannot_name_an_authorization_server_without_tls(
    http: OAuthHttp, server: LoginServer
) -> None:
    names_itself(server, authorization_servers=["http://127.0.0.1:9"])

    assert "is not https" in await refusal(http, server)


@pytest.mark.parametrize("servers", [None, [], "https://a.example", [None]])
async def test_an_mcp_server_that_names_nobody_is_one_line(
    http: OAuthHttp, server: LoginServer, servers: object
) -> None:
    names_itself(server, authorization_servers=servers)

    assert "authorization_servers" in await refusal(http, server)


async def test_of_several_authorization_servers_the_one_with_our_token_url_is_taken(
    http: OAuthHttp, server: LoginServer, authority: Authority
) -> None:
    async with another(authority) as other:
        names_itself(server, authorization_servers=[other.url(), server.url("/none"), server.url()])
        auth = auth_of(server, issuer="", token_url=server.url("/token"))

        found = await endpoints_of(
            http, auth, resource=server.url("/mcp"), needed="authorization_endpoint"
        )

    assert found.authorization_endpoint == server.url("/authorize")


async def test_an_authorization_server_with_another_token_url_is_not_used(
    http: OAuthHttp, server: LoginServer, authority: Authority
) -> None:
    """The MCP server must not choose who gets a code that is meant for our token_url."""
    async with another(authority) as evil:
        names_itself(server, authorization_servers=[evil.url()])
        auth = auth_of(server, issuer="", token_url=server.url("/token"))

        with pytest.raises(OAuthError, match="names no authorization server") as caught:
            await endpoints_of(
                http, auth, resource=server.url("/mcp"), needed="authorization_endpoint"
            )

        assert evil.url("/token") in str(caught.value)


async def test_urls_of_the_store_file_win(http: OAuthHttp, server: LoginServer) -> None:
    auth = auth_of(server, token_url="https://a.example/t", authorization_url="https://a.example/a")

    found = await endpoints_of(http, auth, resource=server.url("/mcp"))

    assert (found.token_endpoint, found.authorization_endpoint) == (
        "https://a.example/t",
        "https://a.example/a",
    )
    assert (found.issuer, found.revocation_endpoint) == (server.url(), server.url("/revoke"))


async def test_nobody_is_asked_for_what_the_store_file_has(
    http: OAuthHttp, server: LoginServer
) -> None:
    names_itself(server)
    auth = auth_of(server, issuer="", token_url=server.url("/token"))

    found = await endpoints_of(http, auth, resource=server.url("/mcp"))

    assert found == Metadata(token_endpoint=server.url("/token"))
    assert server.requests == []


async def test_with_all_that_is_needed_an_issuer_that_is_silent_does_no_harm(
    http: OAuthHttp, server: LoginServer
) -> None:
    server.script(METADATA, Reply(status=500))
    auth = auth_of(server, token_url="https://a.example/t", authorization_url="https://a.example/a")

    found = await endpoints_of(
        http, auth, resource=server.url("/mcp"), needed="authorization_endpoint"
    )

    # Its name is still what an answer must bear.
    assert found.issuer == server.url()


async def test_what_is_needed_and_not_found_is_an_error(
    http: OAuthHttp, server: LoginServer
) -> None:
    server.script(METADATA, Reply(status=500))

    with pytest.raises(OAuthError, match="status 500"):
        await endpoints_of(http, auth_of(server), resource=server.url("/mcp"))


async def test_tokens_go_nowhere_on_the_word_of_the_mcp_server_alone(
    http: OAuthHttp, server: LoginServer, authority: Authority
) -> None:
    """Its authorization server repeats our token_url, and adds endpoints of its own."""
    async with another(authority) as evil:
        evil.metadata["token_endpoint"] = server.url("/token")
        names_itself(evil, authorization_servers=[evil.url()])
        auth = auth_of(server, issuer="", token_url=server.url("/token"))

        found = await endpoints_of(
            http, auth, resource=evil.url("/mcp"), needed="authorization_endpoint"
        )

    assert found.token_endpoint == server.url("/token")
    assert (found.revocation_endpoint, found.device_authorization_endpoint) == ("", "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/mcp", "HTTPS://A.example:443/mcp/", True),
        ("https://a.example", "https://a.example/", True),
        ("https://a.example/mcp", "https://a.example/MCP", False),
        ("https://a.example/mcp", "https://a.example/mcp?x=1", False),
        ("https://a.example/mcp", "https://a.example:8443/mcp", False),
        ("https://a.example/mcp", "https://a.example/mcp/x", False),
        ("https://a.example:x/", "https://a.example/", False),
    ],
)
def test_resources_are_the_same_after_normalisation(one: str, other: str, same: bool) -> None:
    assert is_same_resource(one, other) is same


def test_origins_are_scheme_host_and_port() -> None:
    assert is_same_origin("https://a.example/x", "https://a.example:443/y?z")
    assert not is_same_origin("https://a.example/", "https://b.a.example/")
    assert not is_same_origin("", "https://a.example/")
