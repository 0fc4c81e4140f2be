"""What a queue bounds, as a whole, per team and per key: runs under way at once, and runs that begin in a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from signoff.core.values import value


@value
class Rate:
    """At most `count` runs begin in `period_s`, as a token bucket has it.

    Attributes:
        burst: tokens that the bucket holds: so many runs may begin at once after a quiet time.
    """

    count: int
    period_s: float
    burst: int

    @property
    def per_second(self) -> float:
        """Tokens that come back each second."""
        return self.count / self.period_s

    def tokens(self, left: float | None, filled_at: datetime | None, now: datetime) -> float:
        """What a bucket holds now that held `left` then; a full one where nobody took from it yet."""
        if left is None or filled_at is None:
            return float(self.burst)
        return min(float(self.burst), left + max(0.0, (now - filled_at).total_seconds()) * self.per_second)

    def next_at(self, tokens: float, now: datetime) -> datetime | None:
        """When the next run may begin; none where that is now."""
        return None if tokens + 1e-6 >= 1.0 else now + timedelta(seconds=(1.0 - tokens) / self.per_second)

    def as_dict(self) -> dict[str, Any]:
        """The rate for JSON."""
        return {"count": self.count, "period_s": self.period_s, "burst": self.burst}


@value
class Bounds:
    """Bounds of one scope; none where it is unbounded."""

    concurrency: int | None = None
    rate: Rate | None = None

    def as_dict(self) -> dict[str, Any]:
        """The bounds for JSON."""
        return {"concurrency": self.concurrency, "rate": None if self.rate is None else self.rate.as_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Bounds:
        """The bounds that `as_dict` wrote."""
        rate = data.get("rate")
        return Bounds(data.get("concurrency"), None if rate is None else Rate(**rate))


@value
class Queue:
    """A queue as a project declares it in `signoff.yaml`.

    Attributes:
        name: its name in the project.
        whole: of all its runs together.
        per_team: of the runs of each team in it.
        per_key: of the runs with the same `queue_key`.
        workflows: whose runs are in it where a start names no queue.
        release_while_waiting: whether a run that waits for a person gives its slot back, and queues again to go on.
            The slot of its key stays with it to its end.
        max_queued: how many runs may wait in it; further starts are refused.
    """

    name: str
    whole: Bounds = Bounds()
    per_team: Bounds = Bounds()
    per_key: Bounds = Bounds()
    workflows: tuple[str, ...] = ()
    release_while_waiting: bool = False
    max_queued: int = 100_000

    def limits(self) -> dict[str, Any]:
        """What admission needs of it, for JSON."""
        return {
            "whole": self.whole.as_dict(),
            "per_team": self.per_team.as_dict(),
            "per_key": self.per_key.as_dict(),
            "max_queued": self.max_queued,
            "release_while_waiting": self.release_while_waiting,
        }

    @staticmethod
    def from_limits(name: str, data: Mapping[str, Any]) -> Queue:
        """The queue of what `limits` wrote."""
        return Queue(
            name,
            whole=Bounds.from_dict(data["whole"]),
            per_team=Bounds.from_dict(data["per_team"]),
            per_key=Bounds.from_dict(data["per_key"]),
            release_while_waiting=data.get("release_while_waiting", False),
            max_queued=data["max_queued"],
        )


@value
class QueuePlace:
    """Where a start queues.

    Attributes:
        queue: what the queue bounds.
        path: its name in the database: environment, project and name, joined by `/`.
        key: what `per_key` bounds by; none where the start has no key.
    """

    queue: Queue
    path: str
    key: str | None = None

    @property
    def gate(self) -> str:
        """What its run waits for first."""
        bounded = self.key is not None and self.queue.per_key != Bounds()
        return "key" if bounded else "queue"


def queue_path(environment: str, project: str, name: str) -> str:
    """A queue's name in the database: two projects or environments may have queues of one name."""
    return f"{environment}/{project}/{name}"
