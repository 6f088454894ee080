"""The store file that a new installation begins with."""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.store.keygen import NewGatewayKey, NewKey

# A "#" without a space begins an example that works when the "#" is taken away.
_TEMPLATE = Template(
    """\
# Who may call otelbridge, and what the answer is.
#
# Only the owner of this file may have access to it (mode 0600). It never holds
# a key, only the SHA-256 of its secret part. Other secrets are a string, or
# better { env = "NAME" } or { file = "PATH" }, relative to this file.
# A "#" without a space begins an example: take it away to use it.

# Gateways that may connect.
[[gateway]]
name = "default"
key_sha256 = "$gateway_sha256"

# People whose requests pass through a gateway.
[[user]]
id = "$user_id"
name = "admin"
status = "active"                   # active | suspended | dormant | deleted | system

# Their keys, <id>-<secret>.
[[key]]
id = "$key_id"
user = "admin"
secret_sha256 = "$secret_sha256"    # of the 22 characters after the "-"
#expires_at = 2099-01-01T00:00:00Z

# MCP servers whose tools gateways offer to models.
#[[mcp_server]]
#id = "docs"
#url = "https://mcp.example.com/mcp"
#tool_allow_regex = "^(get|list|search)_"    # RE2; left out: all
#tool_deny_regex = ""
#[mcp_server.auth]
#kind = "static"                     # none | static | oauth2
#token = { env = "DOCS_TOKEN" }      # one for all, or one a user:
#tokens = { admin = { env = "DOCS_TOKEN" } }

# LLM providers that gateways forward to.
#[[provider]]
#name = "anthropic"
#type = "anthropic"
#enabled = true                      # the keys of others are not handed out
#base_url = "https://api.anthropic.com/"
#keys = [{ env = "ANTHROPIC_API_KEY" }]

# What users may spend. "*" is everybody's default, a limit for each of them.
#[[budget]]
#user = "*"
#limit_usd = "50.00"
#period = "month"                    # day | week | month, UTC
"""
)


def new_store_text(user_id: UUID, key: NewKey, gateway_key: NewGatewayKey) -> str:
    """Return a store file with the user ``admin``, one key, and the gateway ``default``."""
    return _TEMPLATE.substitute(
        gateway_sha256=gateway_key.key_sha256,
        user_id=user_id,
        key_id=key.id,
        secret_sha256=key.secret_sha256,
    )
