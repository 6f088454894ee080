"""Cost: exact sums by hand, and agreement with genai-prices' own calculation."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.usage import Usage, usage_of
from otelbridge.telemetry.cost import GenaiPricer, sum_of, total_of
from otelbridge.telemetry.providers import ProviderNames
from otelbridge.telemetry.rates import Rates
from tests.telemetry.records import BEGIN_NS, STARTED, USED, changed

if TYPE_CHECKING:
    from otelbridge.domain.ports import Cost

PRICER = GenaiPricer(ProviderNames())
NS = 1_000_000_000
COMPONENTS = ("input", "output", "cache_read", "cache_write", "web_search")
#: A type as gateways send it, and genai-prices' provider.
PROVIDERS = {
    "anthropic": "anthropic",
    "openai": "openai",
    "gemini": "google",
    "bedrock": "aws",
    "azure": "azure",
    "copilot": "github-copilot",
    "mistral": "mistral",
    "grok": "x-ai",
    "kimi": "moonshotai",
    "deepseek": "deepseek",
}
#: Every model of theirs that is priced by the token and not also by the request.
MODELS = [
    (sent, provider.id, model.id)
    for sent, known in PROVIDERS.items()
    for provider in get_snapshot().providers
    if provider.id == known
    for model in provider.models
    if "requests_kcount" not in repr(model.prices) and "input_mtok" in repr(model.prices)
    if provider.find_model(model.id) is not None
]


def price(provider: str, model: str, usage: Usage, at_ns: int = BEGIN_NS) -> Cost | None:
    """Return the cost of a usage."""
    start = changed(STARTED, provider=provider, model=model)
    return PRICER.price(changed(USED, at_ns=at_ns), usage, start)


def components(cost: Cost | None) -> list[Decimal]:
    """Return a cost's components."""
    assert cost is not None
    return [getattr(cost, name) for name in COMPONENTS]


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Draw a usage whose parts fit into the whole."""
    counts = st.integers(0, 300_000)
    fresh, read, audio, short, long, other, output = (draw(counts) for _ in range(7))
    reasoning = draw(st.integers(0, output))
    return Usage(
        input_tokens=fresh + audio + read + short + long + other,
        output_tokens=output,
        cache_read=read,
        cache_write=short + long + other,
        cache_write_5m=short,
        cache_write_1h=long,
        reasoning=reasoning,
        audio_input=audio,
        audio_output=draw(st.integers(0, output - reasoning)),
        web_searches=draw(st.integers(0, 20)),
    )


def library_price(provider: str, model: str, usage: Usage, at_ns: int) -> Decimal:
    """Return what genai-prices says that a usage costs."""
    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        cache_write_5m_tokens=usage.cache_write_5m,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_reasoning_tokens=usage.reasoning,
        input_audio_tokens=usage.audio_input,
        output_audio_tokens=usage.audio_output,
        cache_audio_read_tokens=0,
        web_searches=usage.web_searches,
    )
    at = datetime.fromtimestamp(at_ns // NS, UTC)
    return genai_prices.calc_price(
        counted, model, provider_id=provider, genai_request_timestamp=at
    ).total_price


@given(
    model=st.sampled_from(MODELS),
    usage=usages(),
    at_s=st.integers(1_700_000_000, 1_800_000_000),
)
def test_every_model_costs_what_genai_prices_says(
    model: tuple[str, str, str], usage: Usage, at_s: int
) -> None:
    cost = price(model[0], model[2], usage, at_s * NS)

    assert cost is not None
    assert total_of(cost) == library_price(*model[1:], usage, at_s * NS)


def test_components_add_up_to_the_invoice() -> None:
    usage = Usage(
        input_tokens=1000 + 14_210 + 200,
        output_tokens=131,
        cache_read=1000,
        cache_write=14_210,
        cache_write_5m=14_000,
        cache_write_1h=210,
        web_searches=2,
    )

    cost = price("anthropic", "claude-opus-4-5-20251101", usage)

    # USD for a million: input 5, output 25, read 0.5, written 6.25, for an hour 10;
    # a thousand searches cost 10.
    assert components(cost) == [
        Decimal("0.001"),  # 200 * 5
        Decimal("0.003275"),  # 131 * 25
        Decimal("0.0005"),  # 1000 * 0.5
        Decimal("0.0896"),  # 14000 * 6.25 + 210 * 10
        Decimal("0.02"),  # 2 * 10
    ]


@pytest.mark.parametrize(("tokens", "dollars"), [(200_000, "0.6"), (200_001, "1.200006")])
def test_a_long_context_costs_more_for_all_its_tokens(tokens: int, dollars: str) -> None:
    cost = price("anthropic", "claude-sonnet-4-5", Usage(input_tokens=tokens))

    assert components(cost)[0] == Decimal(dollars)


def test_audio_and_reasoning_have_their_own_prices_where_there_are_some() -> None:
    audio = Usage(input_tokens=10, output_tokens=5, audio_input=3, audio_output=2)
    thought = Usage(output_tokens=5, reasoning=2)

    heard = price("openai", "gpt-audio", audio)
    researched = price("perplexity", "sonar-deep-research", thought)

    # USD for a million: text 2.5 and 10, audio 32 and 64; output 8, reasoning 3.
    assert components(heard)[:2] == [Decimal("0.0001135"), Decimal("0.000158")]
    assert components(researched)[1] == Decimal("0.00003")


def test_a_record_is_priced_at_its_own_time() -> None:
    usage = Usage(input_tokens=1_000_000)
    night, day = (int(datetime(2025, 6, 1, hour, tzinfo=UTC).timestamp()) * NS for hour in (20, 10))

    costs = [price("deepseek", "deepseek-chat", usage, at_ns) for at_ns in (night, day)]

    assert [components(cost)[0] for cost in costs] == [Decimal("0.135"), Decimal("0.27")]


@pytest.mark.parametrize(
    ("at", "dollars"),
    [("2025-06-09T23:59:59.999", 10), ("2025-06-10T00:00:00", 2), ("2026-11-22T12:00:00", 2)],
)
def test_a_price_that_changed_holds_from_its_day_on_utc(at: str, dollars: int) -> None:
    at_ns = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000) * 10**6

    cost = price("openai", "o3", Usage(input_tokens=1_000_000), at_ns)

    assert components(cost)[0] == dollars


def test_the_price_is_named_with_its_tables_version() -> None:
    cost = price("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", Usage())

    assert cost is not None
    assert cost.price_id == "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert cost.price_version == version("genai-prices")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "no-such-model"),
        ("anthropic", ""),
        ("anthropic", "claude-sonnet-4-5" + "x" * 600),
        ("acme", "gpt-5.1"),
        ("my-openai-proxy", "gpt-5.1"),
        ("", "gpt-5.1"),
    ],
)
def test_an_unknown_model_or_provider_has_no_price(provider: str, model: str) -> None:
    assert price(provider, model, Usage(input_tokens=1)) is None


def test_a_model_that_costs_nothing_has_a_price() -> None:
    free = Rates.of({"input_mtok": Decimal(0), "output_mtok": Decimal(0)})
    pricer = GenaiPricer(ProviderNames(), {("acme", "gratis"): free})
    start = changed(STARTED, provider="acme", model="gratis")

    cost = pricer.price(USED, Usage(input_tokens=10**9, output_tokens=10**9), start)

    assert components(cost) == [0] * 5


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged."""
    return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]


def test_a_model_without_a_price_is_named_in_the_log_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pricer = GenaiPricer(ProviderNames())

    for model in ("mystery", "claude-sonnet-4-5", "mystery\n", "mystery"):
        for _ in range(3):
            pricer.price(USED, Usage(input_tokens=1), changed(STARTED, model=model))

    assert warnings(caplog) == [
        f'no price is known for model "{model}" of anthropic: what it costs is in no sum and no'
        " budget ([prices] overrides can give it one)"
        for model in ("mystery", "mystery\\x0a")
    ]


def test_invented_models_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    pricer = GenaiPricer(ProviderNames())

    for number in range(1000):
        start = changed(STARTED, model=f"invented{number}" + "x" * 100_000)
        pricer.price(USED, Usage(input_tokens=1), start)

    lines = warnings(caplog)
    assert len(lines) == 101
    assert lines[-1] == "no price is known for yet more models: they are named no longer"
    assert max(map(len, lines)) < 300


def test_a_model_that_is_not_priced_by_the_token_has_no_price() -> None:
    providers = {each.id: each for each in get_snapshot().providers}
    by_image = [
        (sent, model.id)
        for sent, known in PROVIDERS.items()
        for model in providers[known].models
        if isinstance(model.prices, ModelPrice)
        and (model.prices.input_mtok, model.prices.output_mtok) == (None, None)
    ]

    assert by_image
    assert {price(*each, Usage(input_tokens=1)) for each in by_image} == {None}


def test_parts_that_contradict_the_whole_are_never_counted_twice() -> None:
    used = changed(
        USED,
        input_tokens=-900,
        output_tokens=0,
        cache_read_input_tokens=1000,
        cache_write_input_tokens=50,
        metadata={},
    )

    cost = price("anthropic", "claude-opus-4-5", usage_of(used))

    # The whole is 150 tokens: all of them were read.
    assert components(cost) == [0, 0, Decimal("0.000075"), 0, 0]


def test_a_sum_has_the_components_of_all_and_the_last_ones_price() -> None:
    usage = Usage(input_tokens=7, output_tokens=1, cache_read=2, cache_write=4, web_searches=1)
    first = price("anthropic", "claude-opus-4-5", usage)
    last = price("anthropic", "claude-sonnet-4-5", usage)

    total = sum_of(cost for cost in (first, last) if cost)

    both = zip(components(first), components(last), strict=True)
    assert components(total) == [a + b for a, b in both]
    assert total is not None
    assert total.price_id == "anthropic/claude-sonnet-4-5"
    assert sum_of([]) is None
