"""Refusals as HTTP responses, in the form of the gateway's own API."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from websockets.datastructures import Headers
from websockets.http11 import Response

if TYPE_CHECKING:
    from otelbridge.transports.gateway.endpoint import Refusal


def http_response(refusal: Refusal) -> Response:
    """Return the whole response to a refused handshake."""
    body = json.dumps(refusal.body).encode()
    headers = Headers(
        {
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
    )
    return Response(refusal.status, HTTPStatus(refusal.status).phrase, headers, body)
