"""What a run's model calls may cost, from contracts alone: to compare two releases by, before anything runs.

No forecast. `min` is the shortest way through: no step that may be left out, no turn of a loop over a list, one try,
nothing to repair. `max` is the longest: every step and turn, every retry, each model of the route in turn with all of
its repairs, inputs as long as their schemas let them be, the longest answers. `expected` lies between by the shares
below, which are assumptions, the same for every release. Answers that agreement compares are asked for in all three.
Four characters are taken for a token, as for English text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from signoff.catalog.delivery.model import CostRange
from signoff.catalog.model import Project
from signoff.catalog.models import LOCAL_PROVIDERS, ModelSpec
from signoff.catalog.prompts import Prompt
from signoff.core.errors import NotFoundError
from signoff.core.money import Cost
from signoff.workflows.agents import is_turn
from signoff.workflows.model import LOOP_VERBS, Step, Workflow

UNBOUNDED_TOKENS = 2_000
"""How long an input is taken to be that no schema bounds, in tokens."""
UNBOUNDED_ITERATIONS = 10
"""How often a loop is taken to turn that says no `max`."""
CHARACTERS_PER_TOKEN = 4
SHORTEST_ANSWER_TOKENS = 16
PROBLEMS_TOKENS = 200
"""What a repair tells the model of what is wrong, in tokens, beside its earlier answer."""

EXPECTED_REPAIRED = 0.1
"""Which share of answers is expected to need one repair."""
EXPECTED_LENGTH = 0.5
"""How much of their bounds inputs and answers are expected to fill, and loops to turn."""
EXPECTED_CONDITION = 0.5
"""How often the condition of a step is expected to be true."""

Price = Callable[[ModelSpec, int, int], Cost | None]
"""What a call of a model costs by its input and output tokens; none where nobody knows."""


class _UnknownPriceError(Exception):
    """Nobody knows what a call costs, or which model would answer."""


def workflow_costs(project: Project, price: Price, *, profile: str | None = None) -> dict[str, CostRange | None]:
    """By workflow: what one run's model calls cost; none where unknown. Of a workflow in Python nobody knows."""
    found: dict[str, CostRange | None] = {}
    for workflow in project.workflows.values():
        if workflow.python is None:
            try:
                found[workflow.name] = _limited(_Costs(project, price, profile).of_steps(workflow.steps), workflow)
            except _UnknownPriceError:
                limit = workflow.limits.cost
                found[workflow.name] = None if limit is None else CostRange(0, limit.micro_usd, limit.micro_usd)
    return found


def _limited(cost: CostRange, workflow: Workflow) -> CostRange:
    """The budget ends what would cost more."""
    limit = workflow.limits.cost
    if limit is None:
        return cost
    return CostRange(*(min(bound, limit.micro_usd) for bound in (cost.least, cost.expected, cost.most)))


class _Costs:
    """The costs of one project's steps."""

    def __init__(self, project: Project, price: Price, profile: str | None) -> None:
        self._project = project
        self._price = price
        self._profile = profile

    def of_steps(self, steps: Iterable[Step]) -> CostRange:
        """What the steps cost together."""
        found = list(steps)
        skippable = _skippable(found)
        total = CostRange(0, 0, 0)
        for step in found:
            total += self._step(step, skippable=step.name in skippable)
        return total

    def _step(self, step: Step, *, skippable: bool) -> CostRange:
        inside, own = self.of_steps(step.body), self._call(step)
        rescue = self.of_steps(step.fallback)
        turns = _iterations(step)
        often = 1.0 if step.when is None else EXPECTED_CONDITION
        least = 0 if skippable else own.least + inside.least * turns.least
        expected = (own.expected + inside.expected * turns.expected) * often
        most = own.most * (1 + step.retry.times) + (inside.most + rescue.most) * turns.most
        return CostRange(least, round(expected), most)

    def _call(self, step: Step) -> CostRange:
        if step.verb != "ai":
            return CostRange(0, 0, 0)
        try:
            prompt = self._project.prompts.find(step.target)
        except NotFoundError:
            raise _UnknownPriceError from None
        route = self._project.models.route(prompt.task, prompt.name, profile=self._profile)
        more = step.settings["max_calls"] * UNBOUNDED_TOKENS if is_turn(step) else 0
        cost = self._answer(prompt, route, more)
        confidence = prompt.answer.confidence
        if confidence is not None and "agreement" in confidence.signals:
            named = confidence.agreement.model
            others = route if named is None else (self._project.models.models[named],)
            for _ in range(confidence.agreement.answers - 1):
                cost += self._answer(prompt, others)
        return cost

    def _answer(self, prompt: Prompt, route: tuple[ModelSpec, ...], more: int = 0) -> CostRange:
        """One answer: the first model's, with its repairs; at most every model's, each with all of its repairs.

        An agent's model reads up to `more` tokens of what its calls gave besides its prompt.
        """
        if not route:
            raise _UnknownPriceError
        longest, written, answer = input_tokens(prompt) + more, _written_tokens(prompt), prompt.max_output_tokens
        usual_input = written + round((longest - written) * EXPECTED_LENGTH)
        usual_answer = round(answer * EXPECTED_LENGTH)
        first, repair = route[0], prompt.answer.repair
        usual_repair = self._cost(first, usual_input + usual_answer + PROBLEMS_TOKENS, usual_answer)
        repairs = sum(self._cost(spec, longest + answer + PROBLEMS_TOKENS, answer) for spec in route) * repair.attempts
        if repair.cost is not None:
            repairs, usual_repair = min(repairs, repair.cost.micro_usd), min(usual_repair, repair.cost.micro_usd)
        expected = self._cost(first, usual_input, usual_answer)
        return CostRange(
            self._cost(first, written, SHORTEST_ANSWER_TOKENS),
            expected + (round(usual_repair * EXPECTED_REPAIRED) if repair.attempts else 0),
            sum(self._cost(spec, longest, answer) for spec in route) + repairs,
        )

    def _cost(self, spec: ModelSpec, given: int, answered: int) -> int:
        if spec.provider in LOCAL_PROVIDERS:
            return 0
        cost = self._price(spec, given, answered)
        if cost is None:
            raise _UnknownPriceError
        return cost.micro_usd


def _skippable(steps: list[Step]) -> set[str]:
    """The steps that a run may leave out: by a condition, without an approval, or with a step that they wait for."""
    found = {step.name for step in steps if step.when is not None or step.requires}
    while more := {step.name for step in steps if step.name not in found and not found.isdisjoint(step.waits_for)}:
        found |= more
    return found


def _iterations(step: Step) -> CostRange:
    """How often a group turns: at least, as expected, at most."""
    if step.verb not in ("for", *LOOP_VERBS):
        return CostRange(1, 1, 1)
    most = step.settings.get("max_turns" if step.verb == "agent" else "max")
    most = most if isinstance(most, int) else UNBOUNDED_ITERATIONS
    return CostRange(1 if step.verb in LOOP_VERBS else 0, max(1, round(most * EXPECTED_LENGTH)), most)


def input_tokens(prompt: Prompt) -> int:
    """How many tokens a rendered prompt has at most, roughly."""
    given = cast("Mapping[str, Any]", prompt.input_schema.get("properties") or {})
    return _written_tokens(prompt) + sum(_tokens(schema, 0) for schema in given.values())


def _written_tokens(prompt: Prompt) -> int:
    """What is there without any input."""
    written = sum(len(source) for _, source in prompt.sections)
    examples = sum(len(str(example.input)) + len(str(example.output)) for example in prompt.examples)
    return (written + examples) // CHARACTERS_PER_TOKEN


def _tokens(schema: Any, depth: int) -> int:  # noqa: PLR0911  (one return per form)
    if not isinstance(schema, Mapping) or depth > 8:  # noqa: PLR2004  (deeper than any contract of ours)
        return UNBOUNDED_TOKENS
    known = cast("Mapping[str, Any]", schema)
    if known.get("type") in ("integer", "number", "boolean", "null"):
        return CHARACTERS_PER_TOKEN
    if "enum" in known:
        return max(len(str(value)) for value in known["enum"]) // CHARACTERS_PER_TOKEN + 1
    if known.get("type") == "string":
        longest = known.get("maxLength")
        return longest // CHARACTERS_PER_TOKEN + 1 if isinstance(longest, int) else UNBOUNDED_TOKENS
    if known.get("type") == "object" and known.get("properties"):
        return sum(_tokens(inner, depth + 1) for inner in cast("Mapping[str, Any]", known["properties"]).values())
    if known.get("type") == "array" and isinstance(known.get("maxItems"), int):
        return known["maxItems"] * _tokens(known.get("items"), depth + 1)
    return UNBOUNDED_TOKENS
