"""One schedule as data: a workflow, how each call of its tools ends, and what befalls workers and people meanwhile."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Kind = Literal[
    "set", "read", "lookup", "resend", "ask", "wait", "for", "repeat", "do",  # of both simulations
    "pause", "until", "event", "call", "flaky", "renew",  # of `engine_schedule.py`
]  # fmt: skip
KINDS: tuple[Kind, ...] = ("set", "read", "lookup", "lookup", "resend", "ask", "wait", "for", "repeat", "do")
RESULTS = ("ok", "ok", "ok", "ok", "busy", "refused", "lost before", "lost after", "late", "bug")
EFFECTS = ("lookup", "resend", "ask")
ACTIONS = ("kill", "kill", "stall", "cut", "stop", "restart server", "clock", "lock", "stray", "cancel", "double")
SEEDS_OF_A_WORKFLOW = 8
"""So many seeds in turn have one workflow: compiling it takes longer than living a schedule."""


@dataclass(frozen=True)
class PlannedStep:
    """A step: its verb or group, the steps that it follows, how its tries end (the last for good).

    Attributes:
        inner: of a group: the recovery of the effect in its body; else the form of the step, where it has several.
        caught: whether the run goes on after its failure.
        reviewed: whether the effect needs an approval, which it consumes.
    """

    kind: Kind
    follows: tuple[int, ...] = ()
    results: tuple[str, ...] = ("ok",)
    inner: str = "lookup"
    caught: bool = False
    reviewed: bool = False

    @property
    def effect(self) -> str | None:
        """The recovery of its effect, or of the one in its body."""
        if self.kind in EFFECTS:
            return self.kind
        return self.inner if self.kind in ("for", "repeat", "do") else None


@dataclass(frozen=True)
class Happening:
    """Something that befalls the simulation at a moment: `subject` chooses whom, of those there are then."""

    at_s: float
    action: str
    subject: int = 0
    lasts_s: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """Everything that a simulation is made of; `seed` is for what has no name here: latencies, lost notifications."""

    seed: int
    steps: tuple[PlannedStep, ...]
    happenings: tuple[Happening, ...] = ()
    runs: int = 1
    workers: int = 2

    def document(self) -> str:
        """The workflow, in the language."""
        lines = ["steps:"]
        for index, step in enumerate(self.steps):
            lines += step_lines(index, step)
        return "\n".join([*lines, "outcome: {ok: s0.done || !s0.done}", ""])

    def as_json(self) -> str:
        """What `from_json` reads."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Schedule:
        """The schedule that `as_json` wrote."""
        data: dict[str, Any] = json.loads(text)
        steps = tuple(
            PlannedStep(**dict[str, Any](step, follows=tuple(step["follows"]), results=tuple(step["results"])))
            for step in data.pop("steps")
        )
        return Schedule(steps=steps, happenings=tuple(Happening(**one) for one in data.pop("happenings")), **data)

    def without_step(self, index: int) -> Schedule:
        """The same without that step; whatever followed it follows nothing in its place."""
        kept = [step for place, step in enumerate(self.steps) if place != index]
        moved = (
            replace(step, follows=tuple(other - (other > index) for other in step.follows if other != index))
            for step in kept
        )
        return replace(self, steps=tuple(moved))


def step_lines(index: int, step: PlannedStep) -> list[str]:  # noqa: PLR0911  (one form per kind)
    """A step in the language."""
    after = f"after: [{', '.join(f's{other}' for other in step.follows)}]"
    retry = "retry: {times: 2, delay: 100ms, backoff: 1}"
    undo = ", undo: {tool: undo, with: {}}" if step.effect in ("lookup", "resend") else ""
    caught = ", on_error: continue" if step.caught else ""
    effect = f"{{tool: {step.effect}, with: {{n: 1}}, {retry}{undo}}}"
    head = f"  s{index}: {{{after}, "
    match step.kind:
        case "set":
            return [f"{head}set: {{n: {index}}}}}"]
        case "for":
            return [
                f"{head}for: '${{[1, 2, 3]}}', at_once: 2, steps: {{e: {effect}}}, give: {{n: '${{index}}'}}{caught}}}"
            ]
        case "repeat":
            return [f"{head}repeat: {{e: {effect}}}, until: index == 1, max: 3{caught}}}"]
        case "do":
            return [f"{head}do: {{r: {{tool: read, with: {{n: 1}}, {retry}}}, e: {effect}}}{caught}}}"]
        case "wait" | "read":
            return [f"{head}tool: {step.kind}, with: {{n: {index}}}, {retry}{caught}}}"]
        case _:
            if not step.reviewed:
                return [f"{head}tool: {step.kind}, with: {{n: {index}}}, {retry}{undo}{caught}}}"]
            review = f"  s{index}_ok: {{{after}, review: Do it?, by: role/lead, propose: {{n: {index}}}}}"
            body = f"tool: {step.kind}, with: {{n: {index}}}, requires: s{index}_ok, {retry}{undo}{caught}"
            return [review, f"{head}{body}}}"]


def random_schedule(seed: int) -> Schedule:
    """The schedule of a seed: the same one for ever."""
    shape = random.Random(seed // SEEDS_OF_A_WORKFLOW)
    chance = random.Random(seed + 1_000_000_007)
    steps = tuple(
        replace(_random_step(shape, index), results=tuple(chance.choices(RESULTS, k=chance.randint(1, 4))))
        for index in range(shape.randint(1, 5))
    )
    happenings = sorted(
        (
            Happening(
                round(chance.uniform(0, 6) * chance.choice((0.1, 1, 1)), 4),
                chance.choice(ACTIONS),
                chance.randrange(8),
                round(chance.uniform(0.1, 8), 3),
            )
            for _ in range(chance.randint(0, 8))
        ),
        key=lambda one: one.at_s,
    )
    return Schedule(seed, steps, tuple(happenings), chance.randint(1, 3), chance.randint(1, 3))


def _random_step(chance: random.Random, index: int) -> PlannedStep:
    follows = tuple(sorted(chance.sample(range(index), chance.randint(0, min(2, index)))))
    kind = chance.choice(KINDS)
    return PlannedStep(
        kind,
        follows,
        inner=chance.choice(EFFECTS),
        caught=chance.random() < 0.15,
        reviewed=kind in EFFECTS and chance.random() < 0.2,
    )
