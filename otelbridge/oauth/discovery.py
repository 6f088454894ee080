"""Where an authorization server's endpoints are: read from what it publishes about itself.

Source: RFC 8414 (sections 2, 3 and 5), OpenID Connect Discovery 1.0 (section 4), and the order
in which the MCP specification (Authorization Server Discovery) tries the URLs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from otelbridge.errors import OAuthError, escaped
from otelbridge.oauth.documents import document_at, flag_of, text_of, texts_of, told
from otelbridge.oauth.resources import issuers_of
from otelbridge.oauth.urls import SHOWN, check_told, resource_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.oauth.http import OAuthHttp

_OAUTH_SUFFIX = "/.well-known/oauth-authorization-server"
_OPENID_SUFFIX = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """An authorization server; what is empty it does not say.

    The names are those of RFC 8414 (section 2), RFC 8628 (section 4) and
    RFC 9207 (section 3).

    Attributes:
        issuer: Its identifier, a URL.
        token_endpoint: Where tokens are got.
        authorization_endpoint: Where a user logs in with a browser.
        device_authorization_endpoint: Where a user logs in without one.
        revocation_endpoint: Where tokens are revoked.
        token_endpoint_auth_methods_supported: How a client may authenticate.
        code_challenge_methods_supported: PKCE's methods.
        authorization_response_iss_parameter_supported: Whether every answer
            to an authorization request names the issuer.
    """

    issuer: str = ""
    token_endpoint: str = ""
    authorization_endpoint: str = ""
    device_authorization_endpoint: str = ""
    revocation_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False


async def discover(
    http: OAuthHttp, *, issuer: str | None, resource: str, token_url: str = ""
) -> Metadata:
    """Find out about the authorization server of an MCP server.

    Args:
        http: What to ask with.
        issuer: The authorization server; None to ask the MCP server for it.
        resource: The MCP server's URL.
        token_url: The token endpoint that is known already. Of authorization
            servers that only the MCP server names, the one that has it is
            taken: a client's id and secret are good at one of them only.

    Raises:
        OAuthError: If nothing can be found out, or what was found does not
            belong to the issuer or the resource.
    """
    if issuer:
        return await _metadata(http, issuer)
    problems = []
    for named in await issuers_of(http, resource_identifier(resource)):
        try:
            metadata = await _metadata(http, named)
        except OAuthError as error:
            problems.append(str(error))
            continue
        if not token_url or metadata.token_endpoint == token_url:
            return metadata
        problems.append(f'its token_endpoint is "{escaped(metadata.token_endpoint, SHOWN)}"')
    expected = f", of which token_url is {token_url}" if token_url else ""
    raise OAuthError(f"{resource}: names no authorization server{expected}: {'; '.join(problems)}")


def metadata_urls(issuer: str) -> list[str]:
    """Return where an issuer's document may be, in the order to try.

    OAuth puts the issuer's path after the well-known part; OpenID Connect
    puts it before, or after too.
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    paths = [f"{_OAUTH_SUFFIX}{path}", f"{_OPENID_SUFFIX}{path}"]
    if path:
        paths.append(f"{path}{_OPENID_SUFFIX}")
    return [urlunsplit((parts.scheme, parts.netloc, found, "", "")) for found in paths]


async def _metadata(http: OAuthHttp, issuer: str) -> Metadata:
    problems = []
    for url in metadata_urls(issuer):
        try:
            return _read(await document_at(http, url), issuer)
        except OAuthError as error:
            problems.append(told(url, error))
    raise OAuthError("; ".join(problems))


def _read(document: Mapping[str, Any], issuer: str) -> Metadata:
    """Return what a document says, if it is the issuer's.

    The comparison is of plain strings (RFC 8414, section 3.3): a document
    that names another issuer is not used.
    """
    named = text_of(document, "issuer")
    if named != issuer:
        raise OAuthError(f'issuer is "{escaped(named, SHOWN)}", not "{escaped(issuer, SHOWN)}"')
    token_endpoint = _endpoint(document, "token_endpoint", issuer)
    if not token_endpoint:
        raise OAuthError("token_endpoint is missing")
    return Metadata(
        issuer=issuer,
        token_endpoint=token_endpoint,
        authorization_endpoint=_endpoint(document, "authorization_endpoint", issuer),
        device_authorization_endpoint=_endpoint(document, "device_authorization_endpoint", issuer),
        revocation_endpoint=_endpoint(document, "revocation_endpoint", issuer),
        token_endpoint_auth_methods_supported=texts_of(
            document, "token_endpoint_auth_methods_supported"
        ),
        code_challenge_methods_supported=texts_of(document, "code_challenge_methods_supported"),
        authorization_response_iss_parameter_supported=flag_of(
            document, "authorization_response_iss_parameter_supported"
        ),
    )


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    url = text_of(document, name)
    try:
        if url:
            check_told(url, by=issuer)
    except OAuthError as error:
        raise OAuthError(f"{name}: {error}") from None
    return url
