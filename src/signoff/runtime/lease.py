"""A worker's own view of its lease: what it may still do without asking the database."""

from __future__ import annotations

from signoff.core.clock import Clock

MARGIN_SHARE = 0.1
"""Share of a lease that is left unused at its end: what is sent on the strength of it takes some time itself."""


class Lease:
    """Certain to be alive until a moment by this machine's clock, which goes on while the process is stopped.

    The server counts a lease from when a heartbeat reached it, which is later than when it was sent, and the longest
    that two clocks drift apart within a lease is far below the margin.

    Args:
        clock: the injected clock.
        lease_s: how long a heartbeat keeps the session alive, in seconds.
    """

    def __init__(self, clock: Clock, lease_s: float) -> None:
        self._clock = clock
        self._certain_s = lease_s * (1 - MARGIN_SHARE)
        self._until_s = 0.0

    def kept(self, asked_s: float) -> None:
        """The server has opened or renewed it; it was asked to at that moment of the monotonic clock."""
        self._until_s = asked_s + self._certain_s

    def holds(self) -> bool:
        """Whether our session is certain to be alive now."""
        return self._clock.monotonic_s() < self._until_s
