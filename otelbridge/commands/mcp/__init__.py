"""``otelbridge mcp``: the logins of users at MCP servers."""

from otelbridge.commands.mcp.group import mcp

__all__ = ["mcp"]
