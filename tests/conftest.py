"""What holds for all tests."""

from __future__ import annotations

import signal

# A job in the background of a script has SIGINT ignored, and so has whatever a test starts there:
# people interrupt what they have started themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
