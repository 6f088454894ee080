"""The journal against a model of it: whatever happens, what was acknowledged is told."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from otelbridge.domain.records import Record
from tests.faults import fault
from tests.model.machine import World
from tests.records import ended, prompt, started, tokens, tool
from tests.soak import turns

records = st.builds(
    lambda make, number, at_s: make(number, at_s=at_s),
    st.sampled_from([started, tokens, prompt, tool, ended]),
    st.integers(1, 12),
    st.integers(0, 2),
)
batches = st.lists(records, min_size=1, max_size=8)


class JournalMachine(RuleBasedStateMachine):
    """Does anything in any order."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="otelbridge-model-"))
        self.world = World(self.folder, seed)

    @rule(batch=batches)
    def submit(self, batch: list[Record]) -> None:
        self.world.submit(*batch)

    @rule(batch=batches)
    def submit_and_lose_the_reply(self, batch: list[Record]) -> None:
        self.world.submit(*batch, is_answered=False)

    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        sent = list(self.world.model.sent.values())
        if sent:
            self.world.submit(data.draw(st.sampled_from(sent)))

    @rule(seconds=st.sampled_from([0.5, 7, 3601]))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(limit=st.integers(1, 20), how=st.sampled_from(["ok", "failed", "lost", "partial"]))
    def export(self, limit: int, how: str) -> None:
        self.world.export(limit=limit, how=how)

    @rule(after=st.integers(0, 30))
    def lose_power_soon(self, after: int) -> None:
        self.world.lose_power(after=after)

    @rule()
    def fail_the_next_sync(self) -> None:
        self.world.fail_sync()

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule()
    def stop(self) -> None:
        self.world.stop()

    @rule(seconds=st.sampled_from([-7200, -3600, 3600, 86400]))
    def set_the_clock(self, seconds: float) -> None:
        self.world.jump(seconds)

    @rule(spare_bytes=st.integers(0, 200_000))
    def fill_the_disk(self, spare_bytes: int) -> None:
        self.world.fill_disk(spare_bytes=spare_bytes)

    @rule()
    def empty_the_disk(self) -> None:
        self.world.empty_disk()

    @rule(number=st.sampled_from([0, 3, 10**6]))
    def read_at_start(self, number: int) -> None:
        self.world.read_at_start(number)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.settle()
            self.world.check()
        finally:
            self.world.end()
            shutil.rmtree(self.folder)


@fault(14, 15, 16, 17, 21, 22, 26)
@pytest.mark.timeout(0)  # as long as a long run says
def test_whatever_happens_what_was_acknowledged_is_told_once_and_counted_once() -> None:
    # A hundred runs of a hundred steps a turn, each turn others.
    each = settings(stateful_step_count=100, deadline=None, print_blob=True)
    for _ in turns():
        run_state_machine_as_test(JournalMachine, settings=each)
