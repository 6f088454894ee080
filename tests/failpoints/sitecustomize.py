"""Loaded by Python itself, before a program: has it fail at a point of its way.

Only where a test puts this folder into ``PYTHONPATH`` and names what shall be: the
program under test knows nothing of it, and production pays nothing for it.
"""

import os
import traceback

if os.environ.keys() & {"FAILPOINT", "SYNC_S", "UNTELLABLE"}:
    try:
        from tests.failpoints import points

        if "FAILPOINT" in os.environ:
            points.install(os.environ["FAILPOINT"])
        if "SYNC_S" in os.environ:
            points.slow_down(os.environ["SYNC_S"])
        if "UNTELLABLE" in os.environ:
            points.make_untellable(os.environ["UNTELLABLE"])
    except BaseException:  # noqa: BLE001  # Python would go on without it
        traceback.print_exc()
        os._exit(70)
