"""OTLP/HTTP with binary protobuf: export requests that are encoded already.

Source: OTLP specification 1.x, "OTLP/HTTP"; RFC 9110, section 10.2.3 (Retry-After).
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from otelbridge.delivery.credentials import read_credentials
from otelbridge.delivery.endpoints import endpoint_of, signals_of
from otelbridge.delivery.outcomes import Ok, Refused, Retry, TooLarge, parse_response, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.config.sections import DestinationConfig
    from otelbridge.delivery.credentials import Credentials
    from otelbridge.delivery.outcomes import Outcome
    from otelbridge.domain.ports import Signal

_PROTOBUF = "application/x-protobuf"
_HTML = "text/html"
#: "Retryable Response Codes" of the specification.
_RETRYABLE = {429, 502, 503, 504}
#: Nothing is wrong with the data: someone has to correct a setting, on either
#: side, and everything is still there when they have. Also a request that
#: came too slowly (408).
_MISCONFIGURED = {401, 403, 404, 405, 407, 408, 501}
#: Loggers that write a line, with the URL or headers, for each request.
_TALKATIVE = ("httpx2", "httpcore2")
#: Answers are some bytes; more is not read (the specification's own limit is 4 MiB).
_MAX_ANSWER = 64 * 1024


class HttpExporter:
    """One destination by OTLP/HTTP.

    Args:
        config: The destination.
        user_agent: The User-Agent header.
        now_ns: The time, for a Retry-After that is a date.
        credentials: Headers and certificates; read from their files if not given.

    Raises:
        ConfigError: If a certificate or a header is wrong.
    """

    def __init__(
        self,
        config: DestinationConfig,
        *,
        user_agent: str,
        now_ns: Callable[[], int],
        credentials: Credentials | None = None,
    ) -> None:
        shown = credentials or read_credentials(config)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._now_ns = now_ns
        self._timeout_s = config.timeout_s
        self._urls = {signal: endpoint_of(config, signal) for signal in signals_of(config)}
        self._gzip = config.compression == "gzip"
        headers = {
            "user-agent": user_agent,
            # A small answer is not worth a decompressor that a hostile one could blow up.
            "accept-encoding": "identity",
            **shown.headers,
            "content-type": _PROTOBUF,
        }
        if self._gzip:
            headers["content-encoding"] = "gzip"
        self._client = httpx2.AsyncClient(
            headers=headers,
            verify=shown.context,
            timeout=None,
            follow_redirects=False,
            trust_env=False,
        )

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Send one request; see `otelbridge.delivery.outcomes.Exporter`."""
        if self._gzip:
            body = await asyncio.to_thread(gzip.compress, body, mtime=0)
        try:
            # httpx has a limit for each read only: a server could drip for ever.
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(signal, body)
        except TimeoutError:
            return Retry(reason="timeout", message=f"no answer within {self._timeout_s:g} s")
        except httpx2.RequestError as error:
            return Retry(reason="connection", message=safe_text(str(error)))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _exchange(self, signal: Signal, body: bytes) -> Outcome:
        async with self._client.stream("POST", self._urls[signal], content=body) as response:
            answer = bytearray()
            async for piece in response.aiter_bytes():
                answer += piece
                if len(answer) > _MAX_ANSWER:
                    break
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.is_success:
            return accepted(signal, bytes(answer), media_type=media_type)
        after_s = retry_after_s(response.headers.get("retry-after"), now_ns=self._now_ns())
        message = status_message(bytes(answer)) if media_type == _PROTOBUF else ""
        return outcome_of(response.status_code, message=message, after_s=after_s)


def accepted(signal: Signal, body: bytes, *, media_type: str) -> Outcome:
    """Return what a 2xx answer means.

    A page for people comes from a proxy or a log-in form: nobody took the data.
    """
    if media_type == _HTML:
        return Retry(reason="http_no_otlp", message="the answer is an HTML page")
    return parse_response(signal, body) if media_type == _PROTOBUF else Ok()


def outcome_of(status: int, *, message: str, after_s: float | None) -> Outcome:
    """Return what a status other than 2xx means.

    Args:
        status: The status code.
        message: The server's words, if it has any.
        after_s: What its Retry-After says; None without one.
    """
    reason, message = f"http_{status}", message or _phrase(status)
    if status in _RETRYABLE:
        return Retry(reason=reason, message=message, after_s=after_s)
    if status in _MISCONFIGURED or status < HTTPStatus.BAD_REQUEST:
        return Retry(reason=reason, message=message)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(reason=reason, message=message)
    return Refused(reason=reason, message=message)


def status_message(body: bytes) -> str:
    """Return the message of the google.rpc.Status in an error's body."""
    try:
        return safe_text(Status.FromString(body).message)
    except DecodeError:
        return ""


def retry_after_s(value: str | None, *, now_ns: int) -> float | None:
    """Return the seconds to wait by a Retry-After header: seconds or a date."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now_ns / 1e9, 0.0)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
