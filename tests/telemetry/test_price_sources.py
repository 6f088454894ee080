"""Prices against a second public source: model-prices, made from the history of models.dev.

Two sources are compared for every model that both know, of the providers that gateways have, at
one time: what a request of each kind costs. Where they differ, `DIFFERENCES` says why; an entry
that is no longer needed fails too, so that the table is read anew with each edition of either.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import model_prices
from genai_prices.data_snapshot import get_snapshot

from otelbridge.domain.usage import Usage
from otelbridge.telemetry.cost import GenaiPricer, total_of
from otelbridge.telemetry.providers import ProviderNames
from tests.telemetry.records import STARTED, USED, changed

#: The day that the second source's edition is of.
AT = datetime(2026, 10, 26, 12, tzinfo=UTC)
AT_NS = int(AT.timestamp()) * 10**9
PRICER = GenaiPricer(ProviderNames())
#: A provider's type as gateways send it: its name in our source and in the second one.
PROVIDERS = {
    "anthropic": ("anthropic", "anthropic"),
    "deepseek": ("deepseek", "deepseek"),
    "gemini": ("google", "google"),
    "grok": ("x-ai", "xai"),
    "kimi": ("moonshotai", "moonshotai"),
    "mistral": ("mistral", "mistral"),
    "openai": ("openai", "openai"),
}
#: What is priced: our usage, and the same for the second source, which counts cached tokens out.
REQUESTS: dict[str, tuple[Usage, dict[str, int]]] = {
    "input": (Usage(input_tokens=1000), {"input_tokens": 1000}),
    "output": (Usage(output_tokens=1000), {"output_tokens": 1000}),
    "read": (Usage(input_tokens=1000, cache_read=1000), {"cache_read_tokens": 1000}),
    "write": (Usage(input_tokens=1000, cache_write=1000), {"cache_write_tokens": 1000}),
    "long": (
        Usage(input_tokens=300_000, output_tokens=1000),
        {"input_tokens": 300_000, "output_tokens": 1000},
    ),
}
#: Two sums of the second source's floats agree if they are as near as this, in USD.
NEAR = Decimal("1e-10")

ENDED = "ours keeps the tier above 200,000 tokens; such requests are refused since 2026-04-30"
RETIRED = "ours keeps a retired model's tiers (and no price for its cache), the other has none"
ALIAS = "the name stands for a newer model by now; ours has the prices of the first, by time of day"
IMAGE = "the second source's output is images or video, ours is text"
UNDECIDED = "the two list different prices, and neither names a source that would decide it"
NO_CACHE = "only one has a price for cached input; the other takes the whole input's, or nothing"
EMBEDDING = "an embedding has no output and no cache: gateways report none"
#: Why the sources differ, and in which requests.
DIFFERENCES = {
    "anthropic/claude-sonnet-4-5": (ENDED, {"long"}),
    "deepseek/deepseek-chat": (ALIAS, {"input", "output", "read", "write", "long"}),
    "deepseek/deepseek-reasoner": (ALIAS, {"input", "output", "read", "write", "long"}),
    "deepseek/deepseek-v3.2": (UNDECIDED, {"input", "output", "read", "write", "long"}),
    "google/gemini-1.5-flash": (RETIRED, {"long"}),
    "google/gemini-1.5-pro": (RETIRED, {"read", "long"}),
    "google/gemini-2.5-flash-image": (IMAGE, {"output", "read", "long"}),
    "google/gemini-3-pro-image-preview": (IMAGE, {"output", "long"}),
    "google/gemini-3.1-flash-image-preview": (IMAGE, {"output", "long"}),
    "google/gemini-3.1-flash-lite-image": (IMAGE, {"output", "long"}),
    "google/gemini-nano-banana-2.1": (IMAGE, {"output", "long"}),
    "google/gemini-omni-1.1-flash": (IMAGE, {"output", "long"}),
    "google/gemini-omni-flash-preview": (IMAGE, {"output", "long"}),
    "mistral/devstral-2512": (NO_CACHE, {"read"}),
    "mistral/mistral-embed": (EMBEDDING, {"output", "read", "long"}),
    "moonshotai/kimi-k2-turbo-preview": (UNDECIDED, {"input", "output", "read", "write", "long"}),
    "openai/gpt-3.5-turbo": (NO_CACHE, {"read"}),
}


def test_both_sources_agree_but_for_what_is_explained() -> None:
    compared = dict(comparisons())

    different = {price_id: requests for price_id, requests in compared.items() if requests}
    assert different == {price_id: requests for price_id, (_, requests) in DIFFERENCES.items()}
    assert len(compared) > 150


def test_the_models_of_coding_agents_are_compared() -> None:
    compared = dict(comparisons())

    wanted = {"claude-opus-4-5", "claude-haiku-4-5", "gpt-5", "gpt-5.1-codex-mini", "gpt-5.5"}
    assert wanted <= {price_id.partition("/")[2] for price_id in compared}


def comparisons() -> Iterator[tuple[str, set[str]]]:
    """Yield each model that both know, and the requests for which they differ."""
    table = {each.id: each for each in get_snapshot().providers}
    for sent, (ours, theirs) in PROVIDERS.items():
        for model in table[ours].models:
            found = model_prices.rates(model.id, at=AT, provider=theirs)
            # A name that it had to cut may be another model's.
            if found is None or found.removed_suffix or found.provider != theirs:
                continue
            costs = {name: cost(sent, model.id, usage) for name, (usage, _) in REQUESTS.items()}
            if costs["input"] is None:
                continue
            yield (
                f"{theirs}/{model.id}",
                {
                    name
                    for name, (_, counts) in REQUESTS.items()
                    if abs((costs[name] or 0) - Decimal(str(found.cost(**counts)))) > NEAR
                },
            )


def cost(provider: str, model: str, usage: Usage) -> Decimal | None:
    """Return what a usage costs by our source."""
    start = changed(STARTED, provider=provider, model=model)
    found = PRICER.price(changed(USED, at_ns=AT_NS), usage, start)
    return None if found is None else total_of(found)
