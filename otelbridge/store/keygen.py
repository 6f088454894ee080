"""New keys. Only their hashes are stored."""

from __future__ import annotations

import hashlib
import secrets
import string
from dataclasses import dataclass

from otelbridge.domain.access import Secret

_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 10
_SECRET_LENGTH = 22  # 131 bits
_GATEWAY_KEY_BYTES = 32  # 43 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A user's new key.

    Attributes:
        id: Its public part.
        key: The whole key, ``<id>-<secret>``.
        secret_sha256: Hex SHA-256 of the secret.
    """

    id: str
    key: Secret
    secret_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGatewayKey:
    """A gateway's new key.

    Attributes:
        key: The whole key, 43 URL-safe characters.
        key_sha256: Hex SHA-256 of the key.
    """

    key: Secret
    key_sha256: str


def new_key() -> NewKey:
    """Draw a user's key."""
    key_id, secret = _drawn(_ID_LENGTH), _drawn(_SECRET_LENGTH)
    return NewKey(id=key_id, key=Secret(f"{key_id}-{secret}"), secret_sha256=_sha256(secret))


def new_gateway_key() -> NewGatewayKey:
    """Draw a gateway's key."""
    key = secrets.token_urlsafe(_GATEWAY_KEY_BYTES)
    return NewGatewayKey(key=Secret(key), key_sha256=_sha256(key))


def _drawn(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
