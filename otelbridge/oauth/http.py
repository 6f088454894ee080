"""HTTP to authorization servers: TLS verified, no redirects, answers of bounded size and time.

Source: RFC 6749 (section 2.3.1), RFC 6750 (section 2.1).
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from typing import TYPE_CHECKING, Self
from urllib.parse import quote_plus, urlsplit

import httpx2

from otelbridge.config import is_loopback
from otelbridge.domain.access import Secret
from otelbridge.errors import OAuthError, escaped
from otelbridge.oauth.http_answer import Answer
from otelbridge.oauth.redaction import safe_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["Answer", "OAuthHttp", "check_url"]

_MAX_ANSWER = 1024 * 1024  # tokens and metadata take some KiB
#: Loggers that write a line, with the URL or headers, for each request.
_TALKATIVE = ("httpx2", "httpcore2")
#: What the library tells when it has a connection (httpcore, "trace" extension).
_REQUEST_BEGINS = "http11.send_request_headers.started"
#: Parameters that may stand in an error; every other one is taken for a secret.
_PLAIN = frozenset(
    {"client_id", "grant_type", "redirect_uri", "resource", "response_type", "scope"}
)


class OAuthHttp:
    """An HTTP client for authorization servers and what they protect.

    It takes nothing from the environment but trust: SSL_CERT_FILE and
    SSL_CERT_DIR name authorities. A proxy or a password (netrc) that is set
    for other programs must not see tokens.

    Args:
        timeout_s: Time limit of a whole exchange, in seconds.
        context: Whom to trust; the system's authorities if left out.
    """

    def __init__(self, *, timeout_s: float, context: ssl.SSLContext | None = None) -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(
            # An answer is small: no decompressor that a hostile one could blow up.
            headers={"accept": "application/json", "accept-encoding": "identity"},
            verify=context or ssl.create_default_context(),
            # A server that hangs must take no connection from another one:
            # who calls bounds what is under way at each.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            timeout=None,  # `_exchange` has one for the whole
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(
        self, url: str, *, bearer: Secret | None = None, timeout_s: float | None = None
    ) -> Answer:
        """Get a resource.

        Args:
            url: https, or http on a loopback host.
            bearer: An access token to send.
            timeout_s: Another time limit, in seconds.

        Raises:
            OAuthError: If the URL or token cannot be sent, no answer came in
                time, or it is a redirect, compressed or over 1 MiB. Other
                statuses than 2xx are answers.
        """
        headers = {} if bearer is None else {"authorization": f"Bearer {_visible(bearer)}"}
        sent = () if bearer is None else (bearer,)
        request = self._request("GET", url, headers)
        return await self._exchange(request, sent, timeout_s or self._timeout_s)

    async def post(
        self, url: str, form: Mapping[str, str], *, basic: tuple[str, Secret] | None = None
    ) -> Answer:
        """Send a form.

        Args:
            url: https, or http on a loopback host.
            form: The parameters.
            basic: A client's id and secret for the Authorization header.

        Raises:
            OAuthError: See `get`.
        """
        headers = {} if basic is None else {"authorization": _basic(*basic)}
        sent = [Secret(value) for name, value in form.items() if name not in _PLAIN]
        if basic is not None:
            sent.append(basic[1])
        request = self._request("POST", url, headers, form)
        return await self._exchange(request, tuple(sent), self._timeout_s)

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> httpx2.Request:
        check_url(url)
        try:
            return self._client.build_request(method, url, headers=headers, data=form)
        except (httpx2.InvalidURL, ValueError):
            raise OAuthError(f'"{escaped(url)}" is not a URL', is_permanent=True) from None

    async def _exchange(
        self, request: httpx2.Request, sent: tuple[Secret, ...], timeout_s: float
    ) -> Answer:
        url = str(request.url.copy_with(query=None, fragment=None))
        until_s = asyncio.get_running_loop().time() + timeout_s
        # The library leaks a connection that is cancelled while TLS begins.
        # So that has limits of the library's own; ours begins with the request.
        connect_s = timeout_s / 2
        request.extensions["timeout"] = httpx2.Timeout(timeout_s, connect=connect_s).as_dict()
        try:
            # The library's limit is for each read: a server could drip for ever.
            async with asyncio.timeout(None) as limit:

                async def trace(event: str, _: object) -> None:
                    if event == _REQUEST_BEGINS:
                        limit.reschedule(until_s)

                request.extensions["trace"] = trace
                response = await self._client.send(request, stream=True)
                try:
                    return await _read(response, url, sent)
                finally:
                    await response.aclose()
        except httpx2.ConnectTimeout:
            raise OAuthError(f"{url}: no connection within {connect_s:g} s") from None
        except (TimeoutError, httpx2.TimeoutException):
            raise OAuthError(f"{url}: timed out after {timeout_s:g} s") from None
        except (httpx2.RequestError, OSError, ValueError) as error:
            reason = safe_words(str(error), sent) or type(error).__name__
            raise OAuthError(f"{url}: {reason}") from None


def check_url(url: str) -> None:
    """Check that credentials may be sent to a URL.

    Raises:
        OAuthError: If it is not https and not of a loopback host, or names a
            user. It is permanent.
    """
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        is_local = parts.scheme == "http" and is_loopback(f"{host}:{parts.port or 80}")
    except ValueError:
        raise OAuthError(f'"{escaped(url)}" is not a URL', is_permanent=True) from None
    if not (is_local or (parts.scheme == "https" and host)) or "@" in parts.netloc:
        raise OAuthError(
            f'"{escaped(url)}" is not of the form https://HOST[:PORT][/PATH], '
            "http is for loopback addresses only",
            is_permanent=True,
        )


async def _read(response: httpx2.Response, url: str, sent: tuple[Secret, ...]) -> Answer:
    status = response.status_code
    if response.is_redirect:
        raise OAuthError(f"{url}: status {status}: redirects are not followed", status=status)
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise OAuthError(f"{url}: the answer is compressed, not asked for", status=status)
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > _MAX_ANSWER:
            raise OAuthError(f"{url}: the answer is over {_MAX_ANSWER} bytes", status=status)
    return Answer(status, response.headers, bytes(body), url, sent)


def _basic(client_id: str, secret: Secret) -> str:
    # RFC 6749, section 2.3.1: both are form-encoded before they are joined.
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _visible(token: Secret) -> str:
    """Return a token that a header can hold (RFC 6749, appendix A.12)."""
    text = token.reveal()
    if not text.isascii() or not text.isprintable():
        raise OAuthError("the access token has characters that no header can hold")
    return text
