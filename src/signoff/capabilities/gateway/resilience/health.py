"""How models have been doing lately, as this process saw it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from uuid import UUID

from signoff.core.clock import Clock
from signoff.core.values import value

WINDOW_S = 300.0
"""How long a call counts, in seconds."""
MAX_CALLS = 100
"""How many calls of a model count at most: the last ones."""
MAX_MODELS = 1_024
"""How many models are watched; the one called longest ago is forgotten first."""

Key = tuple[UUID, str]
"""An organisation's model, by its name in `models.yaml`."""


@value
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


@value
class _Seen:
    at_s: float
    failed: bool
    latency_s: float


class _Calls:
    """The last calls of one model, and what is asked of them, kept up to date with each."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque()
        self._latencies: list[float] = []
        """Of those that succeeded, sorted."""

    def add(self, one: _Seen) -> None:
        if len(self._seen) >= MAX_CALLS:
            self._forget()
        self._seen.append(one)
        if not one.failed:
            insort(self._latencies, one.latency_s)

    def measured(self, since_s: float) -> Measured:
        while self._seen and self._seen[0].at_s <= since_s:
            self._forget()
        if not self._seen:
            return UNMEASURED
        good, calls = len(self._latencies), len(self._seen)
        middle = self._latencies[(good - 1) // 2 : good // 2 + 1]
        return Measured(calls, 1 - good / calls, sum(middle) / len(middle) if good else None)

    def _forget(self) -> None:
        oldest = self._seen.popleft()
        if not oldest.failed:
            del self._latencies[bisect_left(self._latencies, oldest.latency_s)]


class Health:
    """Watches calls.

    Args:
        clock: for the window.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: OrderedDict[Key, _Calls] = OrderedDict()

    def saw(self, key: Key, *, failed: bool, latency_s: float) -> None:
        """One call has ended, failed by the model's or the vendor's fault or not."""
        calls = self._seen.get(key)
        if calls is None:
            calls = self._seen[key] = _Calls()
        calls.add(_Seen(self._clock.monotonic_s(), failed, latency_s))
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_MODELS:
            self._seen.popitem(last=False)

    def of(self, key: Key) -> Measured:
        """How a model has been doing."""
        calls = self._seen.get(key)
        return UNMEASURED if calls is None else calls.measured(self._clock.monotonic_s() - WINDOW_S)
