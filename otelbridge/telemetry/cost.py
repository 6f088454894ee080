"""Cost: token records priced from genai-prices' offline table and the operator's own prices.

A record is priced at its own time. A charge for each request is left out:
a record is no request, a message may have several. Costs are decimals and
exact: rounding is booking's (`otelbridge.telemetry.booking`).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import lru_cache, reduce
from importlib.metadata import version
from typing import TYPE_CHECKING

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice

from otelbridge.domain.ports import Cost
from otelbridge.errors import escaped
from otelbridge.telemetry.prices import OVERRIDES_VERSION
from otelbridge.telemetry.rates import Rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from genai_prices.types import ModelInfo

    from otelbridge.domain.records import InterceptionStarted, TokensUsed
    from otelbridge.domain.usage import Usage
    from otelbridge.telemetry.providers import ProviderNames

logger = logging.getLogger(__name__)

_NS = 1_000_000_000
# No provider's model has a longer id; each look-up tries hundreds of patterns on it.
_MAX_MODEL = 512
# A model is a client's text: so many without a price are named in the log.
_MAX_NAMED = 100

# genai-prices' name for a provider where it differs from `gen_ai.provider.name`.
_PRICE_PROVIDERS: Mapping[str, str] = {
    "aws.bedrock": "aws",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "github.copilot": "github-copilot",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
}


class GenaiPricer:
    """Knows the prices of genai-prices' offline table, and the operator's own.

    Args:
        providers: Names providers.
        overrides: The operator's own prices, by provider as told and model in
            lower case; see `otelbridge.telemetry.prices.load_prices`.
    """

    def __init__(
        self,
        providers: ProviderNames,
        overrides: Mapping[tuple[str, str], Rates] | None = None,
    ) -> None:
        self._providers = providers
        self._overrides = dict(overrides or {})
        self._version = version("genai-prices")
        self._table = get_snapshot().providers
        self._by_id = {each.id: each for each in self._table}
        # A model is a client's text: what is remembered, misses too, is bounded.
        # The library's own caches are not: they are not used.
        self._find = lru_cache(maxsize=2048)(self._find_model)
        self._compiled: dict[int, tuple[ModelPrice, Rates]] = {}
        self._named: set[tuple[str, str]] = set()

    def price(self, record: TokensUsed, usage: Usage, start: InterceptionStarted) -> Cost | None:
        """Return the record's cost at its own time, or None if no price is known.

        A model without a price is named in the log once: what it costs enters
        no sum and no budget, and only its counter would tell.
        """
        provider = self._providers.name(start.provider, start.model)
        cost = self._price(record, usage, start.model, provider)
        if cost is None:
            self._warn_once(provider, start.model)
        return cost

    def _price(self, record: TokensUsed, usage: Usage, sent: str, provider: str) -> Cost | None:
        own = self._overrides.get((provider, sent.lower())) if self._overrides else None
        if own is not None:
            price_id = f"{provider}/{sent}"
            return own.cost(usage, price_id=price_id, price_version=OVERRIDES_VERSION)
        found = self._find(provider, sent)
        if found is None:
            return None
        model, price_id = found
        rates = self._rates(_price_at(model, record.at_ns))
        if rates.input_mtok is None and rates.output_mtok is None:
            return None  # priced by the image, or by the hour
        return rates.cost(usage, price_id=price_id, price_version=self._version)

    def _find_model(self, provider: str, model: str) -> tuple[ModelInfo, str] | None:
        known = self._by_id.get(_PRICE_PROVIDERS.get(provider, provider))
        if known is None or not 0 < len(model) <= _MAX_MODEL:
            return None
        found = known.find_model(model, all_providers=self._table)
        return (found, f"{known.id}/{found.id}") if found and found.prices else None

    def _warn_once(self, provider: str, model: str) -> None:
        named = provider, model[:_MAX_MODEL]
        if named in self._named or len(self._named) > _MAX_NAMED:
            return
        self._named.add(named)
        if len(self._named) > _MAX_NAMED:
            logger.warning("no price is known for yet more models: they are named no longer")
            return
        logger.warning(
            'no price is known for model "%s" of %s: what it costs is in no sum and no budget'
            " ([prices] overrides can give it one)",
            escaped(model),
            provider,
        )

    def _rates(self, price: ModelPrice) -> Rates:
        """Compile a price once; it is kept, so its id names it."""
        compiled = self._compiled.get(id(price))
        if compiled is None:
            compiled = self._compiled[id(price)] = (price, Rates.of(vars(price)))
        return compiled[1]


def _price_at(model: ModelInfo, at_ns: int) -> ModelPrice:
    if isinstance(model.prices, ModelPrice):
        return model.prices
    return model.get_prices(datetime.fromtimestamp(at_ns // _NS, UTC))


def total_of(cost: Cost) -> Decimal:
    """Return the sum of the components."""
    return cost.input + cost.output + cost.cache_read + cost.cache_write + cost.web_search


def sum_of(costs: Iterable[Cost]) -> Cost | None:
    """Return the sum of several records' costs, with the last one's provenance; None of none."""
    found = list(costs)
    return reduce(_plus, found) if found else None


def _plus(first: Cost, second: Cost) -> Cost:
    return Cost(
        input=first.input + second.input,
        output=first.output + second.output,
        cache_read=first.cache_read + second.cache_read,
        cache_write=first.cache_write + second.cache_write,
        web_search=first.web_search + second.web_search,
        price_id=second.price_id,
        price_version=second.price_version,
    )
