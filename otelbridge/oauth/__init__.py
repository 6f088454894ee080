"""OAuth 2.0: access tokens for MCP servers, refreshed while the bridge runs."""
