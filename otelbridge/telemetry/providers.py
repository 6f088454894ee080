"""Providers: a gateway's type becomes the convention's name.

Source: GenAI semantic conventions, ``gen_ai.provider.name``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from otelbridge.errors import escaped
from otelbridge.telemetry import semconv

if TYPE_CHECKING:
    from collections.abc import Mapping

_BEDROCK_MODEL = re.compile(semconv.BEDROCK_MODEL)


class ProviderNames:
    """Names providers as the conventions do.

    Args:
        overrides: ``[telemetry] providers``: types as sent, in any case, and
            the names to tell. They win over every built-in rule.
    """

    def __init__(self, overrides: Mapping[str, str] | None = None) -> None:
        own = {kind.lower(): name for kind, name in (overrides or {}).items()}
        self._own = own
        self._names = {**semconv.PROVIDERS, **own}
        # Types and models are a gateway's text: what is remembered is bounded.
        self._cached = lru_cache(maxsize=4096)(self._name)

    def name(self, provider: str, model: str) -> str:
        """Return ``gen_ai.provider.name``; an empty type is ``unknown``."""
        return self._cached(provider, model)

    def _name(self, provider: str, model: str) -> str:
        kind = provider.strip().lower()
        if kind == "anthropic" and kind not in self._own and _BEDROCK_MODEL.match(model.lower()):
            return semconv.BEDROCK
        return self._names.get(kind) or escaped(kind) or semconv.UNKNOWN
