"""A profile for work at the model: ``--hypothesis-profile=first``."""

from __future__ import annotations

from hypothesis import Phase, settings

#: Stops at the first failure and does not look for a shorter one.
settings.register_profile("first", max_examples=1000, deadline=None, phases=[Phase.generate])
