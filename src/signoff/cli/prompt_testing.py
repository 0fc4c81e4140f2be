"""Run the prompts' own test cases: on real models through the gateway, or on the answers that the cases give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from signoff.capabilities.gateway import Gateway, ModelTask, ProviderError, ProviderReply, ProviderRequest
from signoff.catalog import ModelsConfig, ModelSpec, Project, Prompt
from signoff.catalog.models import TASKS, Route
from signoff.catalog.prompts import PromptTest
from signoff.catalog.registry.cases import CaseResult, judge
from signoff.core.errors import InvalidError, LimitError, StepError
from signoff.core.labels import Labels
from signoff.governance.policy import Decision


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
        return ProviderReply(orjson.dumps(dict(self.answer)).decode())

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Nothing: no prompt embeds.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("cannot", f"A case answers prompts; it embeds none of {len(texts)} texts.")

    async def aclose(self) -> None:
        """Nothing to give back."""


async def run_cases(
    project: Project, prompts: Sequence[Prompt], *, profile: str | None, scripted: bool
) -> list[CaseResult]:
    """The result of each case of each prompt. A case whose prompt cannot be rendered or answered has failed."""
    provider = CaseProvider()
    gateway = Gateway({"case": lambda _: provider}) if scripted else Gateway(profile=profile)
    routes = tuple(Route(("case",), task=task) for task in TASKS)
    config = ModelsConfig({"case": ModelSpec("case", "case")}, routes) if scripted else project.models
    results: list[CaseResult] = []
    try:
        for prompt in prompts:
            for test in prompt.tests:
                provider.answer = test.answer
                results.append(await _run(gateway, config, prompt, test))
    finally:
        await gateway.aclose()
    return results


async def _run(gateway: Gateway, config: ModelsConfig, prompt: Prompt, test: PromptTest) -> CaseResult:
    try:
        task = ModelTask(
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
        )
        result = await gateway.complete(task, config, decide=_permit)
    except (InvalidError, LimitError, StepError) as error:
        details = [error.detail, *(problem.detail for problem in error.problems)]
        return CaseResult(prompt.name, prompt.version, test.name, tuple(dict.fromkeys(details)))
    wrong = judge(prompt, test, result.output)
    return CaseResult(prompt.name, prompt.version, test.name, wrong, result.model)


def _permit(model: str, attributes: Mapping[str, Any], /) -> Decision:
    """Whoever runs the cases on this machine, with the author's own data, needs no run's policy."""
    about = f"prompt test on {model} of {attributes['provider']}"
    return Decision(permit=True, policies=(), obligations=(), policy_digest="", about=about)
