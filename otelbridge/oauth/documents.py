"""Values of the JSON documents that servers publish about themselves."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from otelbridge.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.oauth.http import OAuthHttp


async def document_at(http: OAuthHttp, url: str) -> dict[str, Any]:
    """Get a document.

    Raises:
        OAuthError: If there is none.
    """
    answer = await http.get(url)
    if answer.status != HTTPStatus.OK:
        raise OAuthError(f"{url}: status {answer.status}")
    return answer.json()


def text_of(document: Mapping[str, Any], name: str) -> str:
    """Return a text, empty if the document has none.

    Raises:
        OAuthError: If it is something else.
    """
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise OAuthError(f"{name} is not a string")
    return value


def texts_of(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of texts, empty if the document has none.

    Raises:
        OAuthError: If it is something else.
    """
    value = document.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise OAuthError(f"{name} is not a list of strings")
    return tuple(value)


def flag_of(document: Mapping[str, Any], name: str) -> bool:
    """Return a truth value, false if the document has none.

    Raises:
        OAuthError: If it is something else.
    """
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise OAuthError(f"{name} is not true or false")
    return value


def told(url: str, error: OAuthError) -> str:
    """Return what is wrong with a document, with its URL."""
    text = str(error)
    return text if text.startswith(url) else f"{url}: {text}"
