"""The page at ``/``: what arrives, what it costs, and whether the bridge is well."""

from otelbridge.page.page import Page

__all__ = ["Page"]
