"""Which authorization servers an MCP server names.

Source: RFC 9728 (sections 3 and 5), and the order in which the MCP specification
(Authorization Server Discovery) tries the URLs.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from otelbridge.errors import OAuthError, escaped
from otelbridge.oauth.documents import document_at, text_of, texts_of, told
from otelbridge.oauth.urls import SHOWN, check_told, is_same_resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.oauth.http import OAuthHttp

_SUFFIX = "/.well-known/oauth-protected-resource"
# A parameter of a challenge (RFC 9110, section 11.2): a quoted string or a token.
_PARAMETER = re.compile(r"([\w!#$%&'*+.^`|~-]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]+))")
_ESCAPE = re.compile(r"\\(.)")
# A resource that names more is not believed about all of them.
_MAX_SERVERS = 5


async def issuers_of(http: OAuthHttp, resource: str) -> list[str]:
    """Ask an MCP server for its authorization servers, without a token.

    The URL in the challenge of its 401 comes first; if there is none, its
    well-known URLs are tried.

    Raises:
        OAuthError: If it names none, or what it publishes is not about itself.
    """
    named = await _challenge_url(http, resource)
    problems = []
    for url in [named] if named else resource_metadata_urls(resource):
        try:
            return _issuers(await document_at(http, url), url, resource)
        except OAuthError as error:
            problems.append(told(url, error))
    raise OAuthError("; ".join(problems))


def resource_metadata_urls(resource: str) -> list[str]:
    """Return where an MCP server's document may be, in the order to try.

    The second, without the path, is the MCP specification's addition.
    """
    parts = urlsplit(resource)
    path = parts.path.removeprefix("/")
    inserted = f"{_SUFFIX}/{path}" if path else _SUFFIX
    first = urlunsplit((parts.scheme, parts.netloc, inserted, parts.query, ""))
    root = urlunsplit((parts.scheme, parts.netloc, _SUFFIX, "", ""))
    return [first] if first == root else [first, root]


async def _challenge_url(http: OAuthHttp, resource: str) -> str:
    """Return the URL that the MCP server names when it refuses us; empty if it names none."""
    try:
        answer = await http.get(resource)
    except OAuthError:
        return ""  # the well-known URLs are left to try
    if answer.status != HTTPStatus.UNAUTHORIZED:
        return ""
    url = _parameter(answer.headers.get("www-authenticate", ""), "resource_metadata")
    if url:
        check_told(url, by=resource)
    return url


def _parameter(challenges: str, wanted: str) -> str:
    for name, quoted, token in _PARAMETER.findall(challenges):
        if name.lower() == wanted:
            return token or _ESCAPE.sub(r"\1", quoted)
    return ""


def _issuers(document: Mapping[str, Any], url: str, resource: str) -> list[str]:
    """Return what a document says, if it is about the resource (RFC 9728, section 3.3)."""
    about = text_of(document, "resource")
    if not any(is_same_resource(about, allowed) for allowed in _subjects(url, resource)):
        raise OAuthError(f'resource is "{escaped(about, SHOWN)}", not "{escaped(resource, SHOWN)}"')
    issuers = texts_of(document, "authorization_servers")[:_MAX_SERVERS]
    if not issuers:
        raise OAuthError("it names no authorization_servers")
    for issuer in issuers:
        check_told(issuer, by=resource)
    return list(issuers)


def _subjects(url: str, resource: str) -> list[str]:
    """Return whose identifiers the document at a URL may carry.

    The one without a path is that of the whole origin.
    """
    parts = urlsplit(resource)
    at_root = urlunsplit((parts.scheme, parts.netloc, _SUFFIX, "", ""))
    origin = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    return [resource, origin] if url == at_root else [resource]
