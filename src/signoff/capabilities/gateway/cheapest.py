"""What the cheapest run of a workflow costs at least, against its limit: a budget below that fails every run."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.capabilities.gateway.pricing import price
from signoff.capabilities.gateway.provider import ProviderError
from signoff.catalog.model import Project
from signoff.catalog.models import LOCAL_PROVIDERS
from signoff.core.errors import DefinitionError, NotFoundError, Problem
from signoff.core.money import Cost
from signoff.workflows.model import Step, Workflow


def budget_problems(project: Project) -> Iterator[Problem]:
    """The workflows whose limit is below what the steps cost that run in every run.

    A model is called only if its longest answer still fits into what is left, so the dearest of those steps counts with
    that. Its prompt counts as nothing; so does a step with a condition, a group, or a model whose price nobody knows.
    """
    for workflow in project.workflows.values():
        limit = workflow.limits.cost
        if limit is None or workflow.python is not None:
            continue
        for step in _certain(workflow):
            needed = _cheapest(project, step)
            if needed is not None and needed.micro_usd > limit.micro_usd:
                detail = (
                    f"The limit of {limit} is below the cheapest path: '{step.name}' always runs, and its answer may"
                    f" cost {needed} with the cheapest of its models."
                )
                hint = "Raise 'limits.cost', lower the prompt's max_output_tokens, or route it to a cheaper model."
                pointer = f"/steps/{step.name}"
                yield Problem(detail, workflow.file, step.line or None, None, pointer, hint, "flow-budget")


def require_budgets(project: Project) -> None:
    """Refuse a project with a workflow whose limit is below its cheapest path.

    Raises:
        DefinitionError: with every such workflow.
    """
    problems = list(budget_problems(project))
    if problems:
        raise DefinitionError("A cost limit is below what every run costs.", problems=problems)


def _certain(workflow: Workflow) -> Iterator[Step]:
    """The model steps that run whatever the data is: neither they nor what they wait for has a condition."""
    steps = {step.name: step for step in workflow.steps}

    def runs(step: Step) -> bool:
        return step.when is None and all(runs(steps[name]) for name in step.waits_for)

    return (step for step in workflow.steps if step.verb in ("ai", "agent", "plan") and runs(step))


def _cheapest(project: Project, step: Step) -> Cost | None:
    """What the longest answer costs with the cheapest model of the step's route; none where a price is not known."""
    try:
        prompt = project.prompts.find(step.target)
    except NotFoundError:
        return None
    found: list[Cost] = []
    for spec in project.models.route(prompt.task, prompt.name):
        local = spec.provider in LOCAL_PROVIDERS
        try:
            cost = price(spec, local=local, input_tokens=0, output_tokens=prompt.max_output_tokens)
        except ProviderError:
            return None
        if cost is None:
            return None
        found.append(cost)
    return min(found, key=lambda cost: cost.micro_usd, default=None)
