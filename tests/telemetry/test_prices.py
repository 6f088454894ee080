"""The operator's own prices: read exactly, or refused by place and value."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from otelbridge.domain.usage import usage_of
from otelbridge.errors import ConfigError
from otelbridge.telemetry.cost import GenaiPricer, total_of
from otelbridge.telemetry.prices import load_prices
from otelbridge.telemetry.providers import ProviderNames
from tests.telemetry.records import STARTED, USED, changed

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE = """
[[price]]
provider = "anthropic"
model = "My-Model"
input_mtok = "3.00"
output_mtok = "15"
cache_read_mtok = "0.30"
cache_write_mtok = "3.75"
cache_write_1h_mtok = "6"
web_searches_kcount = "10.00"
"""
HEAD = '[[price]]\nprovider = "p"\nmodel = "m"\n'


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    return tmp_path / "prices.toml"


def test_an_own_price_replaces_the_built_in_one_with_its_provenance(prices: Path) -> None:
    prices.write_text(COMPLETE.replace("My-Model", STARTED.model))
    pricer = GenaiPricer(ProviderNames(), load_prices(prices))
    used = changed(USED, input_tokens=1_000_000, output_tokens=1_000_000, metadata={})

    cost = pricer.price(used, usage_of(used), STARTED)

    assert cost is not None
    assert (cost.input, cost.output) == (Decimal(3), Decimal(15))
    assert (cost.price_id, cost.price_version) == (f"anthropic/{STARTED.model}", "overrides")


def test_every_component_has_its_own_price(prices: Path) -> None:
    prices.write_text(COMPLETE)
    metadata = {"cache_ephemeral_1h_input": 10.0, "web_search_requests": 2.0}
    used = changed(
        USED,
        input_tokens=100,
        output_tokens=10,
        cache_read_input_tokens=1000,
        cache_write_input_tokens=30,
        metadata=metadata,
    )
    start = changed(STARTED, model="my-model")

    cost = GenaiPricer(ProviderNames(), load_prices(prices)).price(used, usage_of(used), start)

    assert cost is not None
    assert (cost.input, cost.output) == (Decimal("0.0003"), Decimal("0.00015"))
    assert (cost.cache_read, cost.cache_write) == (Decimal("0.0003"), Decimal("0.000135"))
    assert cost.web_search == Decimal("0.02")


def test_what_has_no_own_price_costs_what_the_whole_costs(prices: Path) -> None:
    prices.write_text(f'{HEAD}input_mtok = "1"\noutput_mtok = "2"\n')
    used = changed(USED, input_tokens=10, cache_read_input_tokens=10, output_tokens=0)
    start = changed(STARTED, provider="p", model="m")

    cost = GenaiPricer(ProviderNames(), load_prices(prices)).price(used, usage_of(used), start)

    assert cost is not None
    assert total_of(cost) == Decimal(10 + 10 + 14_210) / 1_000_000


def test_a_price_that_does_not_match_leaves_the_built_in_one(prices: Path) -> None:
    prices.write_text(COMPLETE)

    cost = GenaiPricer(ProviderNames(), load_prices(prices)).price(USED, usage_of(USED), STARTED)

    assert cost is not None
    assert cost.price_id == "anthropic/claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = ", "not a TOML file"),
        ("[prices]", "prices: unknown key"),
        ("price = 1", "price: is not a list of tables [[price]]"),
        ('[[price]]\nmodel = "m"', "price 1: provider: is missing or no text"),
        ('[[price]]\nprovider = "p"\nmodel = 1', "price 1: model: is missing or no text"),
        (f'{HEAD}output_mtok = "1"', "price 1: input_mtok: is missing"),
        (f'{HEAD}input_mtok = "x"', 'price 1: input_mtok: "x" is not a decimal'),
        (f"{HEAD}input_mtok = 0.1", 'price 1: input_mtok: "0.1" is not a decimal'),
        (f"{HEAD}input_mtok = true", 'price 1: input_mtok: "True" is not a decimal'),
        (f'{HEAD}input_mtok = "-1"', 'price 1: input_mtok: "-1" is not a decimal'),
        (f'{HEAD}input_mtok = "NaN"', 'price 1: input_mtok: "NaN" is not a decimal'),
        (f'{HEAD}input_mtok = "1000001"', "from 0 to 1000000"),
        (f'{HEAD}input_ktok = "1"', "price 1: input_ktok: unknown key"),
        (COMPLETE + COMPLETE, 'price 2: model: "my-model" has a price already'),
    ],
)
def test_a_mistake_is_named_by_file_place_and_value(prices: Path, text: str, problem: str) -> None:
    prices.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load_prices(prices)

    assert caught.value.key == "prices.overrides"
    assert str(prices) in caught.value.problem
    assert problem in caught.value.problem


def test_a_missing_file_is_named(prices: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as caught:
        load_prices(prices)

    assert str(prices) in caught.value.problem
