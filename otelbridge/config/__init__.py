"""Settings: one TOML file, every key also settable as ``OTELBRIDGE_SECTION__KEY``.

Nothing else in otelbridge reads the environment, except for the secrets that
the store file refers to.
"""

from otelbridge.config.addresses import is_loopback, split_address
from otelbridge.config.loading import build_config, load_config
from otelbridge.config.own_env import ENV_PREFIX
from otelbridge.config.sections import Config, DestinationConfig

__all__ = [
    "ENV_PREFIX",
    "Config",
    "DestinationConfig",
    "build_config",
    "is_loopback",
    "load_config",
    "split_address",
]
