"""Fingerprints: the same text has the same one, and only the key's owner can tell which text.

Source: RFC 2104 (HMAC) with SHA-256, cut to its first half (section 5).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Final

#: Size of a fingerprint.
FINGERPRINT_BYTES: Final = 16
# Longer JSON is taken as it is written: parsing it would cost much memory.
_MAX_JSON = 64 * 1024


class Fingerprinter:
    """Makes fingerprints of prompts and of tools' arguments.

    Args:
        key: The key.
    """

    def __init__(self, key: bytes) -> None:
        # Prompts and arguments of the same words are not to be told to be the same.
        self._prompts = hmac.new(key, b"prompt\0", hashlib.sha256)
        self._arguments = hmac.new(key, b"tool input\0", hashlib.sha256)

    def prompt(self, text: str) -> bytes:
        """Return a prompt's fingerprint; nothing for an empty one."""
        return _digest(self._prompts, text)

    def tool_input(self, text: str) -> bytes:
        """Return the fingerprint of a tool's arguments; nothing if there are none.

        Blanks and the order of keys make no difference in JSON of up to 64
        KiB; what is no JSON, or longer, is taken as it is.
        """
        return _digest(self._arguments, _canonical(text))


def _digest(keyed: hmac.HMAC, text: str) -> bytes:
    if not text:
        return b""
    digest = keyed.copy()
    digest.update(text.encode(errors="surrogatepass"))
    return digest.digest()[:FINGERPRINT_BYTES]


def _canonical(text: str) -> str:
    if len(text) > _MAX_JSON:
        return text
    try:
        return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return text
