"""Rates: what a model's tokens cost, and how a token record's cost is computed from them.

Source: genai-prices, which counts as the conventions do: cached, audio and
reasoning tokens are parts of the input and output, and a part that has no
price of its own costs what the whole costs. A tier applies to all tokens of a
request whose whole input is larger than the tier's start.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from genai_prices.types import TieredPrices

from otelbridge.domain.ports import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.usage import Usage

_ZERO = Decimal(0)


class Tiers(NamedTuple):
    """A price that depends on how large the whole input is.

    Attributes:
        base: USD for one, if the input is in no tier.
        tiers: From which input on (exclusive) which price applies, the largest first.
    """

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...]

    def at(self, whole: int) -> Decimal:
        """Return the price that applies to a request with so many input tokens."""
        for start, price in self.tiers:
            if whole > start:
                return price
        return self.base


#: USD for one token or one search; None where there is no own price.
Rate: TypeAlias = Decimal | Tiers | None
# By how many decimal places a price is shifted that is for a million or a thousand.
_SHIFTS = {"mtok": -6, "kcount": -3}


class Rates(NamedTuple):
    """A model's prices for one token or one search, by genai-prices' names.

    Attributes:
        input_mtok: Input.
        output_mtok: Output.
        cache_read_mtok: Input read from a cache.
        cache_write_mtok: Input written to a cache.
        cache_write_5m_mtok: The part of it that is kept for five minutes.
        cache_write_1h_mtok: The part of it that is kept for an hour.
        input_audio_mtok: Audio input that is not cached.
        output_audio_mtok: Audio output.
        output_reasoning_mtok: Reasoning.
        web_searches_kcount: A thousand web searches.
    """

    input_mtok: Rate
    output_mtok: Rate
    cache_read_mtok: Rate
    cache_write_mtok: Rate
    cache_write_5m_mtok: Rate
    cache_write_1h_mtok: Rate
    input_audio_mtok: Rate
    output_audio_mtok: Rate
    output_reasoning_mtok: Rate
    web_searches_kcount: Rate

    @classmethod
    def of(cls, prices: Mapping[str, object]) -> Rates:
        """Return the rates among prices by name; others (images, requests) are left out."""
        shifts = {name: _SHIFTS[name.rpartition("_")[2]] for name in cls._fields}
        return cls(*(_rate(prices.get(name), shift) for name, shift in shifts.items()))

    def cost(self, usage: Usage, *, price_id: str, price_version: str) -> Cost:
        """Return what the usage of one record costs.

        Parts that contradict the whole are cut, never counted twice.
        """
        whole = usage.input_tokens
        read = min(usage.cache_read, whole)
        write = min(usage.cache_write, whole - read)
        fresh = whole - read - write
        cache_read = _first(self.cache_read_mtok, self.input_mtok)
        return Cost(
            input=self._input(usage, fresh),
            output=self._output(usage),
            cache_read=_tokens(cache_read, read, whole) if read else _ZERO,
            cache_write=self._cache_write(usage, write) if write else _ZERO,
            web_search=self._web_search(usage) if usage.web_searches else _ZERO,
            price_id=price_id,
            price_version=price_version,
        )

    def _input(self, usage: Usage, fresh: int) -> Decimal:
        if self.input_audio_mtok is None or not usage.audio_input:
            return _tokens(self.input_mtok, fresh, usage.input_tokens)
        audio = min(usage.audio_input, fresh)
        return _tokens(self.input_audio_mtok, audio, usage.input_tokens) + _tokens(
            self.input_mtok, fresh - audio, usage.input_tokens
        )

    def _output(self, usage: Usage) -> Decimal:
        left = usage.output_tokens
        if not usage.audio_output and not usage.reasoning:
            return _tokens(self.output_mtok, left, usage.input_tokens)
        cost = _ZERO
        for rate, part in (
            (self.output_audio_mtok, usage.audio_output),
            (self.output_reasoning_mtok, usage.reasoning),
        ):
            if rate is not None and part:
                count = min(part, left)
                cost += _tokens(rate, count, usage.input_tokens)
                left -= count
        return cost + _tokens(self.output_mtok, left, usage.input_tokens)

    def _cache_write(self, usage: Usage, write: int) -> Decimal:
        default = _first(self.cache_write_mtok, self.input_mtok)
        left = write
        cost = _ZERO
        for rate, part in (
            (self.cache_write_1h_mtok, usage.cache_write_1h),
            (self.cache_write_5m_mtok, usage.cache_write_5m),
        ):
            if rate is not None and part:
                count = min(part, left)
                cost += _tokens(rate, count, usage.input_tokens)
                left -= count
        return cost + _tokens(default, left, usage.input_tokens)

    def _web_search(self, usage: Usage) -> Decimal:
        return _tokens(self.web_searches_kcount, usage.web_searches, usage.input_tokens)


def _first(rate: Rate, default: Rate) -> Rate:
    return default if rate is None else rate


def _tokens(rate: Rate, count: int, whole: int) -> Decimal:
    """Return what so many cost in a request with so many input tokens."""
    if rate is None:
        return _ZERO
    return (rate.at(whole) if isinstance(rate, Tiers) else rate) * count


def _rate(price: object, shift: int) -> Rate:
    """Return a price of genai-prices for one."""
    if isinstance(price, TieredPrices):
        tiers = [(tier.start, tier.price.scaleb(shift)) for tier in reversed(price.tiers)]
        return Tiers(price.base.scaleb(shift), tuple(tiers))
    return price.scaleb(shift) if isinstance(price, Decimal) else None
