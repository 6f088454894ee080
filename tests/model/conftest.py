"""How long the model is tried: 10,000 steps by default, far more with ``make soak``."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "soak",
    max_examples=20_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
#: Stops at the first failure and does not look for a shorter one.
settings.register_profile("first", max_examples=1000, deadline=None, phases=[Phase.generate])
