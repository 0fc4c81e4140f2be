"""Run the prompts' own test cases: on real models through the gateway, or on the answers that the cases give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from signoff.capabilities.gateway import (
    Budget,
    Gateway,
    ModelResult,
    ModelTask,
    ProviderError,
    ProviderReply,
    ProviderRequest,
)
from signoff.capabilities.validation.answers import answer_checks
from signoff.catalog import ModelsConfig, ModelSpec, Project, Prompt
from signoff.catalog.models import TASKS, Route
from signoff.catalog.prompts import PromptTest
from signoff.catalog.registry.cases import CaseResult, judge
from signoff.core.errors import InvalidError, LimitError, StepError
from signoff.core.labels import Labels
from signoff.governance.policy import Decision
from signoff.steps.answers import finished


class CaseProvider:
    """A model that says what the case at hand gives as its answer."""

    name = "case"
    tasks = frozenset(TASKS)
    local = True
    repairable = False

    def __init__(self) -> None:
        self.answer: Mapping[str, Any] | None = None

    async def complete(self, request: ProviderRequest) -> ProviderReply:  # noqa: ARG002  (the case is the answer)
        """The answer of the case at hand.

        Raises:
            ProviderError: the case gives none.
        """
        if self.answer is None:
            raise ProviderError("rejected", "The case gives no 'answer', which --scripted needs.")
        return ProviderReply(orjson.dumps(dict(self.answer)).decode(), likelihood=1.0)

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Nothing: no prompt embeds.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("cannot", f"A case answers prompts; it embeds none of {len(texts)} texts.")

    async def aclose(self) -> None:
        """Nothing to give back."""


class _Facts:
    """What a step would journal of the answer."""

    def __init__(self) -> None:
        self.signals: Mapping[str, float] = {}

    def record(self, kind: str, fact: Mapping[str, Any], /) -> None:
        """Keep what the confidence is made of; filters tell the rest by what they do."""
        if kind == "answer.confidence":
            self.signals = fact["signals"]


async def run_cases(
    project: Project, prompts: Sequence[Prompt], *, profile: str | None, scripted: bool
) -> list[CaseResult]:
    """The result of each case of each prompt, held to all that a step's answer is held to.

    What the case gives as passages counts as retrieved. A case whose prompt cannot be rendered or answered has failed.
    """
    provider = CaseProvider()
    gateway = Gateway({"case": lambda _: provider}) if scripted else Gateway(profile=profile)
    asked = replace(project, models=_scripted(project)) if scripted else project
    results: list[CaseResult] = []
    try:
        for prompt in prompts:
            for test in prompt.tests:
                provider.answer = test.answer
                results.append(await _run(gateway, asked, prompt, test))
    finally:
        await gateway.aclose()
    return results


def _scripted(project: Project) -> ModelsConfig:
    """Every model of the project, and every route, as the one that says what the case gives."""
    routes = tuple(Route(("case",), task=task) for task in TASKS)
    return ModelsConfig({name: ModelSpec(name, "case") for name in ("case", *project.models.models)}, routes)


async def _run(gateway: Gateway, project: Project, prompt: Prompt, test: PromptTest) -> CaseResult:
    facts = _Facts()

    async def ask(task: ModelTask, config: ModelsConfig) -> ModelResult:
        return await gateway.complete(task, config, decide=_permit)

    try:
        task = _task(prompt, test)
        first = await ask(task, project.models)
        output = await finished(facts, project, prompt, task=task, first=first, ask=ask)
    except (InvalidError, LimitError, StepError) as error:
        details = [error.detail, *(problem.detail for problem in error.problems)]
        wrong = tuple(dict.fromkeys(details))
        return CaseResult(prompt.name, prompt.version, test.name, wrong, signals=facts.signals)
    wrong = judge(prompt, test, output)
    return CaseResult(prompt.name, prompt.version, test.name, wrong, first.model, output, facts.signals)


def _task(prompt: Prompt, test: PromptTest) -> ModelTask:
    repair = prompt.answer.repair
    return ModelTask(
        task=prompt.task,
        prompt=prompt.name,
        prompt_version=prompt.version,
        messages=prompt.render(test.input),
        output_schema=prompt.output_schema,
        variables=test.input,
        labels=prompt.labels,
        examples=prompt.examples,
        hints=prompt.hints,
        max_output_tokens=prompt.max_output_tokens,
        timeout_s=prompt.timeout_s,
        data_labels=Labels(prompt.data_class),
        checks=answer_checks(prompt.answer, test.input),
        repairs=repair.attempts,
        likelihood=prompt.answer.confidence is not None and prompt.answer.confidence.asks_likelihood,
        repair_budget=None if repair.cost is None else Budget(repair.cost),
    )


def _permit(model: str, attributes: Mapping[str, Any], /) -> Decision:
    """Whoever runs the cases on this machine, with the author's own data, needs no run's policy."""
    about = f"prompt test on {model} of {attributes['provider']}"
    return Decision(permit=True, policies=(), obligations=(), policy_digest="", about=about)
