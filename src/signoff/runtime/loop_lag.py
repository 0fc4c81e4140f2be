"""How late a worker's event loop is: the measure of whether it holds more work than one core does."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from signoff.runtime.settings import RuntimeSettings

PERIOD_S = 0.1
RECENT = 50  # samples that `longest_s` looks back over: five seconds and what they were late
LAGGING_SHARE = 16  # of a claim's runs, while the loop is late: some progress for those that are there first
WARNING_PAUSE_S = 30.0

_log = logging.getLogger(__name__)


class LoopLag:
    """Measures by sleeping: how much later than asked for the loop comes back.

    Args:
        limit_s: from when on it is too late.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._recent: deque[float] = deque([0.0], maxlen=RECENT)
        self._warned_s = float("-inf")

    @property
    def longest_s(self) -> float:
        """The longest of the last seconds."""
        return max(self._recent)

    @property
    def is_late(self) -> bool:
        """Whether it was too late in the last seconds, which makes other sides look slow that are not."""
        return self.longest_s > self._limit_s

    def allowed(self, settings: RuntimeSettings) -> int:
        """How many runs may be claimed at once."""
        late = self._recent[-1] > self._limit_s
        return max(1, settings.claim_batch // LAGGING_SHARE) if late else settings.claim_batch

    async def watch(self) -> None:
        """Measure until cancelled. Real time, not the injected clock: it is about this process."""
        loop = asyncio.get_running_loop()
        while True:
            begun_s = loop.time()
            await asyncio.sleep(PERIOD_S)
            self.record(loop.time() - begun_s - PERIOD_S, loop.time())

    def record(self, late_s: float, now_s: float) -> None:
        """Take one sample; warns of a bad one, not more than twice a minute."""
        self._recent.append(max(0.0, late_s))
        if late_s > self._limit_s and now_s - self._warned_s >= WARNING_PAUSE_S:
            self._warned_s = now_s
            _log.warning(
                "the event loop was %.2f s late: this worker was stopped, or has more to do than one core does; it"
                " claims less for now",
                late_s,
            )
