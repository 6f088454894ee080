"""What holds for all tests."""

from __future__ import annotations

import signal

from hypothesis import settings

# How long an example takes says what else the machine does. `--hypothesis-profile` goes before.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# A job in the background of a script has SIGINT ignored, and so has whatever a test starts there:
# people interrupt what they have started themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
