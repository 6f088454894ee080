"""What ends a measurement early."""

from __future__ import annotations


class BenchmarkError(Exception):
    """The measurement cannot go on, or would mean nothing if it did."""
