"""A worker's view of its lease: by its own clock, and over a little before it is over."""

from __future__ import annotations

import time

from signoff.core.clock import SystemClock
from signoff.runtime.lease import MARGIN_SHARE, Lease


class Moved(SystemClock):
    moment_s = 100.0

    def monotonic_s(self) -> float:
        return self.moment_s


def test_a_lease_counts_from_when_it_was_asked_for_and_ends_early():
    clock = Moved()
    lease = Lease(clock, 10.0)
    assert not lease.holds()
    clock.moment_s = 104.0
    lease.kept(100.0)
    assert lease.holds()
    clock.moment_s = 100.0 + 10.0 * (1 - MARGIN_SHARE)
    assert not lease.holds()


def test_the_clock_goes_on_while_the_machine_sleeps():
    """Linux has a clock of its own for that; elsewhere the monotonic one does."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    before = time.clock_gettime(clock)
    assert before <= SystemClock().monotonic_s() <= time.clock_gettime(clock)
