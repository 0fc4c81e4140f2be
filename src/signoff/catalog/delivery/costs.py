"""What a run's model calls may cost at most, from contracts alone: an upper bound to compare two releases by.

Not a forecast. Each `ai` step counts once per iteration that its groups allow, with the first model of its route, the
longest answer, and an input as long as its template and its schema let it be (four characters are taken for a token,
as for English text). What a schema does not bound counts as `UNBOUNDED_TOKENS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from signoff.catalog.model import Project
from signoff.catalog.models import LOCAL_PROVIDERS, ModelSpec
from signoff.catalog.prompts import Prompt
from signoff.core.errors import NotFoundError
from signoff.core.money import Cost
from signoff.workflows.model import Step, Workflow

UNBOUNDED_TOKENS = 2_000
"""How long an input is taken to be that no schema bounds, in tokens."""
UNBOUNDED_ITERATIONS = 10
"""How often a loop is taken to turn that says no `max`."""
CHARACTERS_PER_TOKEN = 4

Price = Callable[[ModelSpec, int, int], Cost | None]
"""What a call of a model costs by its input and output tokens; none where nobody knows."""


def workflow_costs(project: Project, price: Price, *, profile: str | None = None) -> dict[str, int | None]:
    """By workflow: what one run's model calls cost at most, in millionths of a US dollar; none where unknown."""
    return {
        workflow.name: _workflow(project, workflow, price, profile)
        for workflow in project.workflows.values()
        if workflow.python is None
    }


def _workflow(project: Project, workflow: Workflow, price: Price, profile: str | None) -> int | None:
    total = _steps(project, workflow.steps, price, profile)
    limit = workflow.limits.cost
    if limit is not None and (total is None or limit.micro_usd < total):
        return limit.micro_usd  # the budget ends what would cost more
    return total


def _steps(project: Project, steps: tuple[Step, ...], price: Price, profile: str | None) -> int | None:
    total = 0
    for step in steps:
        inside = _steps(project, (*step.body, *step.fallback), price, profile)
        own = _call(project, step, price, profile) if step.verb == "ai" else 0
        if inside is None or own is None:
            return None
        total += own * (1 + step.retry.times) + inside * _iterations(step)
    return total


def _iterations(step: Step) -> int:
    if step.verb not in ("for", "repeat"):
        return 1
    most = step.settings.get("max")
    return most if isinstance(most, int) else UNBOUNDED_ITERATIONS


def _call(project: Project, step: Step, price: Price, profile: str | None) -> int | None:
    try:
        prompt = project.prompts.find(step.target)
    except NotFoundError:
        return None
    models = project.models.route(prompt.task, prompt.name, profile=profile)
    if not models:
        return None
    if models[0].provider in LOCAL_PROVIDERS:
        return 0
    cost = price(models[0], input_tokens(prompt), prompt.max_output_tokens)
    return None if cost is None else cost.micro_usd


def input_tokens(prompt: Prompt) -> int:
    """How many tokens a rendered prompt has at most, roughly."""
    written = sum(len(source) for _, source in prompt.sections)
    examples = sum(len(str(example.input)) + len(str(example.output)) for example in prompt.examples)
    given = cast("Mapping[str, Any]", prompt.input_schema.get("properties") or {})
    return (written + examples) // CHARACTERS_PER_TOKEN + sum(_tokens(schema, 0) for schema in given.values())


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
