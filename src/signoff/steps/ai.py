"""The verb `ai`: one bounded model task through the gateway. What a model says is never trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any

from signoff.capabilities.gateway import Attempt, Budget, Decide, ModelResult, ModelTask
from signoff.capabilities.gateway.model import AnswerCheck
from signoff.capabilities.validation.answers import answer_checks
from signoff.capabilities.validation.citations import proven
from signoff.catalog import Prompt
from signoff.catalog.authority import Authority
from signoff.catalog.models import ModelsConfig
from signoff.core.errors import InvalidError, LimitError, StepError
from signoff.core.labels import Labels, Trust
from signoff.core.money import NO_USAGE
from signoff.governance.policy import Decision, model_request
from signoff.runtime.handlers import Done, StepCall
from signoff.steps.agent import Turn
from signoff.steps.answers import finished
from signoff.steps.limited import LimitedStep, asked_of, untrusted_of
from signoff.steps.plan import planning
from signoff.steps.services import Services, decided, project_of
from signoff.steps.unproven import require_offers
from signoff.workflows.agents import is_turn
from signoff.workflows.plans import STEPS, is_planner


class AiStep(LimitedStep):
    """Runs a prompt of the registry on the models that policy and routes allow."""

    verb = "ai"

    def __init__(self, services: Services) -> None:
        self._services = services

    def turn(self, call: StepCall) -> AbstractAsyncContextManager[None]:
        """A local model answers one call at a time; those that wait for it are not late."""
        project = project_of(call)
        prompt = project.prompts.find(call.step.target)
        return self._services.gateway.turn(project.models, prompt.task, prompt.name)

    async def act(self, call: StepCall, *, over_limit: bool) -> Done:
        """The model's answer, which meets the prompt's output contract.

        Raises:
            StepError: `model_contract`, `model_unavailable`, `model_refused`, `budget`, `quota`, `forbidden`,
                `arguments`, `filtered`, `filter_failed` or `confidence`.
        """
        project = project_of(call)
        prompt = project.prompts.find(call.step.target)
        variables: Mapping[str, Any] = call.arguments.get("with", {})
        _require_class(call, prompt)
        decide = self._deciding(call, prompt, await self._services.authority(call))

        def observe(attempt: Attempt) -> None:
            fact = {"prompt": f"{prompt.name}@{prompt.version}", "prompt_digest": prompt.digest}
            call.record("model.call", {**attempt.as_dict(), **fact})

        answered: set[str] = set()
        complete = partial(
            self._services.gateway.complete,
            decide=decide,
            budget=self._services.budgets.of(call),
            observe=observe,
            asked=asked_of(call, self._services, task=prompt.task, prompt=prompt.name, over_limit=over_limit),
            signalled=partial(call.record, "model.signals"),
        )

        async def ask(task: ModelTask, config: ModelsConfig) -> ModelResult:
            result = await complete(task, config)
            answered.add(f"model:{result.model}")
            if result.cached:
                observe(Attempt(result.model, result.provider, "cached"))
            return result

        proof = _proven(prompt, variables, call)
        finish = partial(finished, call, project, prompt, ask=ask, evidence=proof, filters=self._services.filters)
        task = _task(prompt, variables, call, answer_checks(prompt.answer, proof))
        if is_turn(call.step) or is_planner(call.step):
            require_offers(call)
        if is_turn(call.step):
            turned = await Turn(call, self._services, prompt, task, decide=decide, over_limit=over_limit).taken()
            answered.add(f"model:{turned.model}")
            if turned.output is not None:
                turned = replace(turned, output=await finish(task=task, first=_as_result(turned.output, turned.model)))
            return _done(turned.as_dict(), answered)
        if is_planner(call.step):
            first = await ask(planning(task, project, call.step.settings), project.models)
            told = {name: value for name, value in first.output.items() if name != STEPS}
            output = await finish(task=task, first=replace(first, output=told))
            return _done({**output, STEPS: first.output[STEPS]}, answered)
        return _done(await finish(task=task, first=await ask(task, project.models)), answered)

    def _deciding(self, call: StepCall, prompt: Prompt, authority: Authority) -> Decide:
        """Policy's answer to `model.call` for each model."""

        def decide(model: str, attributes: Mapping[str, Any], /) -> Decision:
            request = model_request(
                call.run,
                model=model,
                provider=attributes["provider"],
                task=attributes["task"],
                prompt=prompt.name,
                prompt_version=prompt.version,
                labels=call.labels,
                local=attributes["local"],
                region=attributes["region"],
                injection=attributes.get("injection", 0),
                environment=self._services.environment,
            )
            return decided(call, authority, request)

        return decide


def _require_class(call: StepCall, prompt: Prompt) -> None:
    """Hold all that the step read to what the prompt takes.

    Raises:
        StepError: kind `forbidden`.
    """
    if call.labels.data_class > prompt.data_class:
        raise StepError(
            f"The step read {call.labels.data_class.name.lower()} data, and prompt {prompt.name}@{prompt.version}"
            f" takes up to {prompt.data_class.name.lower()}. Raise its data_class or read less.",
            kind="forbidden",
        )


def _done(output: Mapping[str, Any], answered: Iterable[str]) -> Done:
    return Done(output, Labels(trust=Trust.UNTRUSTED, sources=frozenset(answered)))


def _likelihood(prompt: Prompt) -> bool:
    """Whether the model is asked how likely it finds its words: an answer that was kept does not say it any more."""
    return prompt.answer.confidence is not None and prompt.answer.confidence.asks_likelihood


def _as_result(output: Mapping[str, Any], model: str) -> ModelResult:
    """An agent's answer as that of a task: it is finished like any other."""
    return ModelResult(
        output=output,
        model=model,
        provider="",
        usage=NO_USAGE,
        attempts=(),
        finish_reason="stop",
        latency_s=0.0,
    )


def _proven(prompt: Prompt, variables: Mapping[str, Any], call: StepCall) -> Mapping[str, Any]:
    """What answers are held to: of passages to cite, those that this run retrieved, whatever else there is."""
    citations = prompt.answer.citations
    return variables if citations is None else proven(citations, variables, call.given_by("retrieve"))


def _task(prompt: Prompt, variables: Mapping[str, Any], call: StepCall, checks: Sequence[AnswerCheck]) -> ModelTask:
    try:
        messages = prompt.render(variables)
    except (InvalidError, LimitError) as error:
        raise StepError(error.detail, kind="arguments", problems=error.problems) from error
    return ModelTask(
        task=prompt.task,
        prompt=prompt.name,
        prompt_version=prompt.version,
        messages=messages,
        output_schema=prompt.output_schema,
        variables=variables,
        labels=prompt.labels,
        examples=prompt.examples,
        hints=prompt.hints,
        max_output_tokens=prompt.max_output_tokens,
        timeout_s=min(prompt.timeout_s, call.timeout_s),
        data_labels=call.labels,
        untrusted=untrusted_of(call, variables),
        checks=checks,
        repairs=prompt.answer.repair.attempts,
        cached=prompt.cache and not _likelihood(prompt),
        likelihood=_likelihood(prompt),
        repair_budget=Budget(prompt.answer.repair.cost) if prompt.answer.repair.cost is not None else None,
    )
