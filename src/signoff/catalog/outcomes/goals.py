"""Goals beside counts: which of a workflow's declared numbers its runs themselves tell.

Goals have free names. Counted are those that say what a count is of: an outcome's name, a way to end without one,
`automatic`, `cost` and how long it takes. The others (`wrong_refunds`) need somebody's judgement: an evaluation's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from signoff.catalog.outcomes.model import MeasuredGoal, OutcomeCount, total
from signoff.workflows.model import Goal

_MICRO = 1_000_000

Measure = Callable[[tuple[OutcomeCount, ...]], float]


def _automatic(counts: tuple[OutcomeCount, ...]) -> float:
    """The share that came to an outcome without a person."""
    done = total(count for count in counts if count.status == "done")
    return (done.runs - done.with_person) / total(counts).runs


def _mean_cost_usd(counts: tuple[OutcomeCount, ...]) -> float:
    ended = total(counts)
    return ended.cost_micro_usd / ended.runs / _MICRO


def _mean_s(counts: tuple[OutcomeCount, ...]) -> float:
    ended = total(counts)
    return ended.seconds / ended.runs


MEASURES: Mapping[tuple[str, str], Measure] = {
    ("automatic", "share"): _automatic,
    ("cost", "usd"): _mean_cost_usd,
    ("time", "seconds"): _mean_s,
    ("resolve", "seconds"): _mean_s,
    ("hours_to_resolve", "number"): lambda counts: _mean_s(counts) / 3600,
}
"""By name and unit, what is measured of runs that have ended."""


def measure(goal: Goal, counts: tuple[OutcomeCount, ...]) -> MeasuredGoal:
    """The goal beside what these runs, which have ended, came to."""
    ended = total(counts).runs
    if not ended:
        return MeasuredGoal(goal, None)
    known = MEASURES.get((goal.name, goal.unit))
    if known is not None:
        return MeasuredGoal(goal, round(known(counts), 9))
    named = [count for count in counts if count.name == goal.name]
    if not named or goal.unit not in ("share", "number"):
        return MeasuredGoal(goal, None)
    runs = total(named).runs
    return MeasuredGoal(goal, round(runs / ended, 9) if goal.unit == "share" else float(runs))
