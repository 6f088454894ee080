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
_LOOKED_AT = 2000  # of a megabyte of words; to look for tokens takes quadratic time
_HIDDEN = "…"
# Tokens, codes and keys (RFC 6750, section 2.1): 16 or more characters with a
# digit among them, or 24 without a dot or slash. Prose has no such words, and
# names of errors have one case, as unsupported_response_type.
_OPAQUE = re.compile(
    r"(?=[A-Za-z_.~+/=-]*[0-9])[A-Za-z0-9_.~+/=-]{16,}"
    r"|(?!(?:[a-z_]+|[A-Z_]+)(?![A-Za-z0-9_~+=-]))[A-Za-z0-9_~+=-]{24,}"
)
_TAIL = re.compile(r"[A-Za-z0-9_.~+/=-]*\Z")
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
    if len(text) > _LOOKED_AT:
        text = _TAIL.sub("", text[:_LOOKED_AT])  # a token that was cut may look like a word
    return escaped(_OPAQUE.sub(_HIDDEN, text), _LIMIT)
