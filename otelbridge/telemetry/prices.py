"""The operator's own prices: a TOML file that replaces or extends the built-in table.

[[price]]
provider = "anthropic"        # gen_ai.provider.name, as told
model = "my-model"            # the model as sent, in any case
input_mtok = "3.00"           # USD for a million tokens, decimals as strings
output_mtok = "15.00"
cache_read_mtok = "0.30"      # optional: as input where left out
cache_write_mtok = "3.75"     # optional: as input where left out
cache_write_1h_mtok = "6.00"  # optional: as cache_write_mtok where left out
web_searches_kcount = "10.00" # optional: USD for a thousand searches, free where left out
"""

from __future__ import annotations

import tomllib
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from otelbridge.errors import ConfigError, escaped
from otelbridge.telemetry.rates import Rates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What the price version says of an operator's own price.
OVERRIDES_VERSION = "overrides"

_KEY = "prices.overrides"
_NAMES = ("provider", "model")
_REQUIRED = ("input_mtok", "output_mtok")
_OPTIONAL = ("cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok", "web_searches_kcount")
# A price above this is a slip of the pen: no model comes near it.
_MAX_USD = 1_000_000


def load_prices(path: Path) -> dict[tuple[str, str], Rates]:
    """Read a file of prices.

    Returns:
        The rates by provider and model, the model in lower case.

    Raises:
        ConfigError: If the file cannot be read, or any key or value is wrong;
            it names the file, the price's number and the key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(_KEY, f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(_KEY, f"{path}: not a TOML file: {error}") from None
    unknown = sorted(data.keys() - {"price"})
    tables = data.get("price", [])
    if unknown:
        raise ConfigError(_KEY, f"{path}: {escaped(unknown[0])}: unknown key")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(_KEY, f"{path}: price: is not a list of tables [[price]]")
    found: dict[tuple[str, str], Rates] = {}
    for number, table in enumerate(tables, 1):
        where = f"{path}: price {number}"
        key = (_name(table, "provider", where), _name(table, "model", where).lower())
        if key in found:
            raise ConfigError(_KEY, f'{where}: model: "{escaped(key[1])}" has a price already')
        found[key] = _rates(table, where)
    return found


def _rates(table: Mapping[str, object], where: str) -> Rates:
    unknown = sorted(table.keys() - {*_NAMES, *_REQUIRED, *_OPTIONAL})
    if unknown:
        raise ConfigError(_KEY, f"{where}: {escaped(unknown[0])}: unknown key")
    usd = {key: _usd(table, key, where) for key in (*_REQUIRED, *_OPTIONAL)}
    for key in _REQUIRED:
        if usd[key] is None:
            raise ConfigError(_KEY, f"{where}: {key}: is missing")
    return Rates.of(usd)


def _name(table: Mapping[str, object], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(_KEY, f"{where}: {key}: is missing or no text")
    return value


def _usd(table: Mapping[str, object], key: str, where: str) -> Decimal | None:
    value = table.get(key)
    if value is None:
        return None
    try:
        # A float is refused: 0.1 is not a tenth.
        usd = Decimal(value if isinstance(value, str | int) else "no decimal")
    except InvalidOperation:
        usd = Decimal(-1)
    if isinstance(value, bool) or not usd.is_finite() or not 0 <= usd <= _MAX_USD:
        raise ConfigError(
            _KEY,
            f'{where}: {key}: "{escaped(str(value))}" is not a decimal in quotes'
            f" from 0 to {_MAX_USD}",
        )
    return usd
