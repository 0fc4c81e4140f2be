"""How models have been doing lately, as this process saw it."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from statistics import median
from uuid import UUID

from signoff.core.clock import Clock

WINDOW_S = 300.0
"""How long a call counts, in seconds."""
MAX_CALLS = 100
"""How many calls of a model count at most: the last ones."""
MAX_MODELS = 1_024
"""How many models are watched; the one called longest ago is forgotten first."""

Key = tuple[UUID, str]
"""An organisation's model, by its name in `models.yaml`."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one model in the window.

    Attributes:
        calls: how many calls are known.
        error_rate: the share of them that failed, from 0 to 1.
        latency_s: the median time to the first token, or to the whole answer of calls that do not stream, in seconds;
            none where no call succeeded.
    """

    calls: int = 0
    error_rate: float = 0.0
    latency_s: float | None = None


UNMEASURED = Measured()


@dataclass(frozen=True, slots=True)
class _Seen:
    at_s: float
    failed: bool
    latency_s: float


class Health:
    """Watches calls.

    Args:
        clock: for the window.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: OrderedDict[Key, deque[_Seen]] = OrderedDict()

    def saw(self, key: Key, *, failed: bool, latency_s: float) -> None:
        """One call has ended, failed by the model's or the vendor's fault or not."""
        calls = self._seen.setdefault(key, deque(maxlen=MAX_CALLS))
        calls.append(_Seen(self._clock.monotonic_s(), failed, latency_s))
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_MODELS:
            self._seen.popitem(last=False)

    def of(self, key: Key) -> Measured:
        """How a model has been doing."""
        since_s = self._clock.monotonic_s() - WINDOW_S
        calls = [one for one in self._seen.get(key, ()) if one.at_s > since_s]
        if not calls:
            return UNMEASURED
        good = [one.latency_s for one in calls if not one.failed]
        return Measured(len(calls), 1 - len(good) / len(calls), median(good) if good else None)
