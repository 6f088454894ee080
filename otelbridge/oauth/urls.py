"""URLs that servers name: which of them may be asked, and which are the same.

Source: RFC 3986 (section 6.2), RFC 6454 (section 4), RFC 8707 (section 2).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from otelbridge.errors import OAuthError, escaped
from otelbridge.oauth.http import check_url

#: Characters of a URL in an error.
SHOWN = 120
_DEFAULT_PORTS = {"https": 443, "http": 80}


def check_told(url: str, *, by: str) -> None:
    """Check a URL that another server names.

    Only a server without TLS, which is on this machine, may name one without:
    another one could reach what listens here for this machine alone.

    Args:
        url: What was named.
        by: The URL of who named it.

    Raises:
        OAuthError: If it is no URL, or one that must not be asked.
    """
    if not (url.isascii() and url.isprintable()) or " " in url or not _has_port(url):
        raise OAuthError(f'"{escaped(url)}" is not a URL')
    check_url(url)
    if urlsplit(url).scheme == "http" and urlsplit(by).scheme != "http":
        raise OAuthError(f'"{escaped(url, SHOWN)}" is not https, "{escaped(by, SHOWN)}" is')


def resource_identifier(url: str) -> str:
    """Return the identifier of an MCP server: its URL without a fragment."""
    return url.partition("#")[0]


def is_same_resource(one: str, other: str) -> bool:
    """Return whether two URLs are equal after normalisation; a slash at the end counts nothing."""
    return _normal(one) == _normal(other)


def is_same_origin(one: str, other: str) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    return _normal(one)[:3] == _normal(other)[:3]


def _has_port(url: str) -> bool:
    """Return whether its port, the default one if it has none, is one."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _normal(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return (url,)
    host = parts.hostname or ""
    return parts.scheme, host, str(port), parts.path.removesuffix("/"), parts.query, parts.fragment
