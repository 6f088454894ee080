"""The file-backed store: users, keys, gateways, MCP servers, providers and budgets.

It is loaded, checked and swapped in whole; `Store` holds the current snapshot.
"""

from otelbridge.store.holder import Store
from otelbridge.store.keygen import NewGatewayKey, NewKey, new_gateway_key, new_key
from otelbridge.store.loading import load_store
from otelbridge.store.tokens import NoToken
from otelbridge.store.watching import StoreWatcher

__all__ = [
    "NewGatewayKey",
    "NewKey",
    "NoToken",
    "Store",
    "StoreWatcher",
    "load_store",
    "new_gateway_key",
    "new_key",
]
