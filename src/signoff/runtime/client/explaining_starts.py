"""Why a run has not begun, in plain words: a delay, a queue with its bounds and turns, a debounced start, busy workers.

Pure functions of what the database says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from signoff.runtime.queues import Bounds, Queue

COUNTED = 1000
"""Runs, and teams, are counted no further."""
SOON_S = 5.0
"""A run that is due for less has simply not been claimed yet."""

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Use:
    """What one scope of a queue holds: slots in use, and its bucket as it was left."""

    slots: int = 0
    tokens: float | None = None
    filled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a queue stands for one run.

    Attributes:
        queue: its bounds.
        whole: what is in use altogether.
        team: by the run's team.
        key: by its key.
        teams: teams that have runs at the gate.
    """

    queue: Queue
    whole: Use = Use()
    team: Use = Use()
    key: Use = Use()
    teams: int = 1
    paused_by: str | None = None
    paused_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Debounced:
    """A start that waits until its key is quiet.

    Attributes:
        first_at: when the first start of the key came.
        due_at: when the run starts, if no other start comes before.
        starts: how many came so far.
    """

    key: str
    first_at: datetime
    due_at: datetime
    starts: int


def span(seconds: float) -> str:
    """A length of time as people say it: its two largest units."""
    left, parts = int(max(seconds, 0.0)), list[str]()
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "less than 1 s"


def many(count: int) -> str:
    """A bounded count for people."""
    return f"{COUNTED} or more" if count >= COUNTED else str(count)


def gate_text(
    standing: Standing, *, name: str, gate: str, key: str | None, team: str, ahead: int, now: datetime
) -> tuple[str, datetime | None]:
    """What holds a run at a queue's gate, and when that ends by itself, where time ends it."""
    if standing.paused_by is not None:
        because = f": {standing.paused_reason}" if standing.paused_reason else ""
        return f"Queue '{name}' was paused by {standing.paused_by}{because}.", None
    queue, of_team = standing.queue, f"team '{team}'" if team else "the runs without a team"
    scopes: list[tuple[str, Bounds, Use]] = [
        ("", queue.whole, standing.whole),
        (f" for {of_team}", queue.per_team, standing.team),
    ]
    if gate == "key":
        scopes = [(f" for key '{key}'", queue.per_key, standing.key)]
    found: list[str] = []
    until: datetime | None = None
    for scope, bounds, use in scopes:
        if bounds.concurrency is not None and use.slots >= bounds.concurrency:
            slots = "its one slot" if bounds.concurrency == 1 else f"all {bounds.concurrency} slots"
            found.append(f"{slots}{scope} {'is' if bounds.concurrency == 1 else 'are'} in use")
        if bounds.rate is None or gate == "back":
            continue
        tokens = bounds.rate.tokens(use.tokens, use.filled_at, now)
        next_at = bounds.rate.next_at(tokens, now)
        if next_at is not None:
            rate = f"{bounds.rate.count} in {span(bounds.rate.period_s)}"
            found.append(f"its rate{scope} ({rate}) lets the next run begin in {span((next_at - now).total_seconds())}")
            until = next_at if until is None else max(until, next_at)
    held = f"Queue '{name}': {' and '.join(found)}" if found else f"Queue '{name}' lets it through at its next turn"
    of_its_team = f"of team '{team}'" if team else "without a team"
    before = _before(ahead, {"key": "of its key", "back": "back from a wait"}.get(gate, of_its_team))
    turns = (
        f"; {many(standing.teams)} teams take turns, those with the fewest slots first" if standing.teams > 1 else ""
    )
    full = any("slot" in text for text in found)
    return f"{held}; {before}{'' if gate == 'key' else turns}.", None if full else until


def _before(count: int, which: str) -> str:
    """How many runs are before it, as a sentence's part."""
    if count <= 1:
        return f"{'one' if count else 'no'} run {which} is before it"
    return f"{many(count)} runs {which} are before it"


def worker_text(*, workers: int, priority: int, team: str, ahead: int, due_at: datetime, now: datetime) -> str:
    """Why no worker has taken a run that may begin."""
    alive = "One worker is alive" if workers == 1 else f"{workers} workers are alive"
    before = _before(ahead, f"of team '{team}' with that priority" if team else "with that priority")
    text = f"{alive}; it has priority {priority}; {before}. Organisations and teams take turns."
    return f"{text}{late_text(due_at, now)}"


def late_text(due_at: datetime, now: datetime) -> str:
    """Why workers that are alive have not taken a run that is due, as one more sentence; empty where it is just due."""
    late_s = (now - due_at).total_seconds()
    if late_s < SOON_S:
        return ""
    return (
        f" It has been due for {span(late_s)}: the workers have no room for it (SIGNOFF_ENGINE__RESIDENT_RUNS and"
        " …RESIDENT_BYTES bound what each holds in memory), or are late, which their logs say. More workers would take"
        " it."
    )


def debounced_text(found: Debounced, now: datetime) -> str:
    """Why a debounced run has not begun."""
    left = span((found.due_at - now).total_seconds())
    since = span((now - found.first_at).total_seconds())
    starts = "one start" if found.starts == 1 else f"{found.starts} starts, the first {since} ago"
    return (
        f"Key '{found.key}' had {starts}. It begins in {left}, with the latest input, if no other start of the key"
        " comes before; each one that comes puts it off, up to the longest wait that was asked for."
    )
