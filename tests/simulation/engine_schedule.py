"""Schedules of the whole engine: `schedule.py` with waits, calls, queues, breakers, operations, Python, failovers."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from typing import Any

from tests.simulation.schedule import EFFECTS, RESULTS, Happening, PlannedStep, Schedule, step_lines

KINDS = (
    *("set", "read", "lookup", "lookup", "resend", "ask", "wait", "for", "repeat", "do"),
    *("pause", "until", "event", "event", "call", "call", "flaky", "renew"),
)
PYTHON_KINDS = ("set", "read", "lookup", "resend", "ask", "wait", "for", "pause", "event", "call", "flaky")
MORE = ("pause", "until", "event", "call", "flaky", "renew")
FAULTS = ("kill", "kill", "stall", "cut", "stop", "restart server", "clock", "stray", "double", "failover", "outage")
OPERATIONS = (
    "cancel",
    "pause",
    "terminate",
    "retry",
    "retry",
    "retry from",
    "skip",
    "skip",
    "priority",
    "event",
    "event",
)
FORMS = {
    "pause": ("50ms", "400ms", "3s"),
    "until": ("past", "soon", "later"),
    "event": ("open", "timeout", "timeout fails"),
    "call": ("wait", "wait", "leave", "detach", "timeout"),
    "renew": ("2", "3"),
}
"""Ways in which a step of each kind may be written, as `PlannedStep.inner` says."""

EVENT = "sim.came.v1"
CHILD = "test/child"
SEEDS_OF_A_WORKFLOW = 4


@dataclass(frozen=True)
class EngineSchedule(Schedule):
    """A schedule of the whole engine.

    Attributes:
        child: how the tries of the two steps of the workflow that `call` starts end.
        at_once: how many of its runs the queue lets be under way; 0 where they are in no queue.
        of_key: how many with the same key; 0 where any.
        yields: whether a run that waits for a person gives its slot back.
        python: the workflow is written in Python.
    """

    child: tuple[tuple[str, ...], ...] = (("ok",), ("ok",))
    at_once: int = 0
    of_key: int = 0
    yields: bool = False
    python: bool = False

    def document(self) -> str:
        """The workflow, in the language."""
        lines = ["steps:"]
        for index, step in enumerate(self.steps):
            lines += _more_lines(index, step) if step.kind in MORE else step_lines(index, step)
        return "\n".join([*lines, "outcome: {ok: s0.done || !s0.done}", ""])

    @staticmethod
    def from_json(text: str) -> EngineSchedule:
        """The schedule that `as_json` wrote."""
        data: dict[str, Any] = json.loads(text)
        steps = tuple(
            PlannedStep(**dict[str, Any](step, follows=tuple(step["follows"]), results=tuple(step["results"])))
            for step in data.pop("steps")
        )
        happenings = tuple(Happening(**one) for one in data.pop("happenings"))
        child = tuple(tuple(results) for results in data.pop("child"))
        return EngineSchedule(steps=steps, happenings=happenings, child=child, **data)

    @property
    def loses_commits(self) -> bool:
        """Whether a failover is among what happens."""
        return any(one.action == "failover" for one in self.happenings)

    @property
    def true_clocks(self) -> bool:
        """Whether no worker's clock is ever wrong."""
        return all(one.action != "clock" for one in self.happenings)


CHILD_DOCUMENT = """
steps:
  c0: {tool: resend, with: {n: 1}, retry: {times: 1, delay: 100ms, backoff: 1}, undo: {tool: undo, with: {}}}
  c1: {after: c0, tool: read, with: {n: 1}, retry: {times: 1, delay: 100ms, backoff: 1}}
outcome: {ok: c1.done}
"""


def _more_lines(index: int, step: PlannedStep) -> list[str]:
    head = f"  s{index}: {{after: [{', '.join(f's{other}' for other in step.follows)}], "
    caught = ", on_error: continue" if step.caught else ""
    match step.kind, step.inner:
        case "pause", duration:
            return [f"{head}wait: {duration}}}"]
        case "until", when:
            return [f"{head}wait: '${{input.{when}}}'}}"]
        case "event", form:
            match = f"match: {{n: '${{input.n}}', step: '{index}'}}"
            times = {"open": "", "timeout": ", timeout: 2s, on_timeout: continue", "timeout fails": ", timeout: 2s"}
            return [f"{head}wait: {{event: {EVENT}, {match}}}{times[form]}{caught}}}"]
        case "call", form:
            more = {"leave": ", on_cancel: leave", "detach": ", detach: true", "timeout": ", timeout: 1500ms"}
            return [f"{head}call: {CHILD}, with: {{n: {index}}}{more.get(form, '')}{caught}}}"]
        case "renew", turns:
            effect = "{tool: resend, with: {n: 1}, retry: {times: 2, delay: 100ms, backoff: 1}, on_error: continue}"
            return [f"{head}repeat: {{e: {effect}}}, until: index >= 4, max: 9, renew: {turns}{caught}}}"]
        case _:
            retry = "retry: {times: 6, delay: 500ms, backoff: 1.5}"
            return [f"{head}tool: flaky, with: {{n: {index}}}, {retry}{caught}}}"]


def random_engine_schedule(seed: int) -> EngineSchedule:
    """The schedule of a seed: the same one for ever."""
    shape, chance = random.Random(seed // SEEDS_OF_A_WORKFLOW), random.Random(seed + 2_000_000_011)
    python = shape.random() < 0.25
    steps = tuple(
        replace(_random_step(shape, index, python=python), results=_results(chance))
        for index in range(shape.randint(1, 5))
    )
    queued = chance.random() < 0.4
    return EngineSchedule(
        seed,
        steps,
        _happenings(chance),
        chance.randint(1, 4),
        chance.randint(1, 3),
        child=(_results(chance), _results(chance)),
        at_once=chance.randint(1, 2) if queued else 0,
        of_key=chance.randint(0, 1) if queued else 0,
        yields=queued and chance.random() < 0.5,
        python=python,
    )


def _results(chance: random.Random) -> tuple[str, ...]:
    return tuple(chance.choices(RESULTS, k=chance.randint(1, 4)))


def _random_step(chance: random.Random, index: int, *, python: bool) -> PlannedStep:
    follows = tuple(sorted(chance.sample(range(index), chance.randint(0, min(2, index)))))
    kind: Any = chance.choice(PYTHON_KINDS if python else KINDS)
    return PlannedStep(
        kind,
        follows,
        inner=chance.choice(FORMS.get(kind, EFFECTS)),
        caught=chance.random() < 0.15,
        reviewed=kind in EFFECTS and chance.random() < 0.2,
    )


def _happenings(chance: random.Random) -> tuple[Happening, ...]:
    found = [
        Happening(
            round(chance.uniform(0, 6) * chance.choice((0.1, 1, 1)), 4),
            chance.choice(OPERATIONS if chance.random() < 0.5 else FAULTS),
            chance.randrange(8),
            round(chance.uniform(0.1, 6), 3),
        )
        for _ in range(chance.randint(0, 8))
    ]
    return tuple(sorted(found, key=lambda one: one.at_s))
