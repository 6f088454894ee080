"""What servers say, made fit for an error: no secret that was sent, nothing that looks like one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelbridge.domain.access import Secret

_LIMIT = 200  # a server's sentence
_HIDDEN = "…"
# Tokens, codes and keys: 16 or more characters of base64, base64url or hex
# (RFC 6750, section 2.1) with a digit among them. Prose has no such words.
_OPAQUE = re.compile(r"(?=[A-Za-z_.~+/=-]*[0-9])[A-Za-z0-9_.~+/=-]{16,}")
_SHORTEST = 4  # to cut out less would make holes in prose and hide nothing


def safe_words(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return a server's words, escaped and at most 200 characters.

    Args:
        text: What it said. It may repeat what it was sent, or tell a token.
        secrets: What it was sent; cut out wherever it stands, also in the
            form in which a form holds it.
    """
    forms = {form for each in secrets for form in (each.reveal(), quote_plus(each.reveal()))}
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= _SHORTEST:
            text = text.replace(form, _HIDDEN)
    return escaped(_OPAQUE.sub(_HIDDEN, text), _LIMIT)
