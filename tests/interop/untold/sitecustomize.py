"""Loaded by Python itself, before a program: a bridge's core cannot tell one model's requests.

Only where a test puts this folder into ``PYTHONPATH``: what cannot be told is a fault of the
bridge, and none is known that could be provoked from outside.
"""

import os
import sys
import traceback
from typing import Any

#: The model.
UNTOLD = "untold-model"


def install() -> None:
    """Have the telling of the model's interceptions fail."""
    from otelbridge.telemetry.teller import OtlpTeller  # noqa: PLC0415  # the core's process alone

    told = OtlpTeller.interception_closed

    def fail(self: OtlpTeller, interception: Any, changes: Any) -> Any:
        if interception.start is not None and interception.start.model == UNTOLD:
            raise ArithmeticError(f"{UNTOLD} cannot be told")
        return told(self, interception, changes)

    OtlpTeller.interception_closed = fail  # type: ignore[method-assign]


if "otelbridge.core" in sys.orig_argv:
    try:
        install()
    except BaseException:  # noqa: BLE001  # Python would go on without it
        traceback.print_exc()
        os._exit(70)
