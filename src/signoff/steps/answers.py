"""What a step does with a model's answer before anything reads it: other answers, confidence, filters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

from signoff.capabilities.gateway import ModelResult, ModelTask
from signoff.capabilities.validation.answers import agreement, completeness, signals_of
from signoff.capabilities.validation.confidence import ConfidenceRule
from signoff.capabilities.validation.documents import read_document
from signoff.capabilities.validation.filters import Filter, apply_filters
from signoff.catalog import Project, Prompt
from signoff.catalog.answer_contracts import ConfidenceContract
from signoff.catalog.models import ModelsConfig, Route
from signoff.core.errors import InvalidError, StepError
from signoff.core.schemas import validate

Ask = Callable[[ModelTask, ModelsConfig], Awaitable[ModelResult]]


class Records(Protocol):
    """Keeps facts: a step in its run's journal, a prompt's test case in its result."""

    def record(self, kind: str, fact: Mapping[str, Any], /) -> None:
        """Keep one."""
        ...


async def finished(
    call: Records,
    project: Project,
    prompt: Prompt,
    *,
    task: ModelTask,
    first: ModelResult,
    ask: Ask,
    evidence: Mapping[str, Any] | None = None,
    filters: Mapping[str, Filter] | None = None,
) -> Mapping[str, Any]:
    """The step's output from a model's first answer, as the prompt's contract wants it.

    Args:
        call: the step, or what else keeps what is found.
        project: whose models and calibrations there are.
        prompt: whose contract it is.
        task: what the model was asked.
        first: what it answered.
        ask: asks again, as the first time: with policy, budget and journal.
        evidence: the prompt's variables with proven passages alone; the task's own where not given.
        filters: by name; those of the deployment where not given.

    Raises:
        StepError: `filtered`, `filter_failed`, `confidence`, `model_contract`, or what asking again raises.
    """
    contract = prompt.answer
    output: dict[str, Any] = dict(first.output)
    if contract.confidence is not None:
        others = await _others(project, prompt, contract.confidence, task, ask)
        signals = _signals(
            prompt, evidence or task.variables, output, [first.output, *(result.output for result in others)]
        )
        if contract.confidence.asks_likelihood:
            # Who says nothing of it, as an answer that was kept, is not sure.
            signals["likelihood"] = first.likelihood or 0.0
        output["confidence"] = _confidence(call, project, contract.confidence, signals)
    if contract.filters:
        filtered = await asyncio.to_thread(apply_filters, contract.filters, output, filters)
        for result in filtered.results:
            call.record("answer.filter", result.as_dict())
        filtered.require()
        output = dict(filtered.output)
        if contract.may_ask:
            output["filtered"] = filtered.summary
        problems = validate(prompt.contract.output_schema or {}, output)
        if problems:
            detail = f"The filters made an answer that breaks the contract: {problems[0].detail}"
            raise StepError(detail, kind="model_contract", problems=problems)
    return output


async def _others(
    project: Project, prompt: Prompt, contract: ConfidenceContract, task: ModelTask, ask: Ask
) -> list[ModelResult]:
    """The answers to compare with the first; none where agreement is no signal."""
    if "agreement" not in contract.signals:
        return []
    config = project.models
    if contract.agreement.model is not None:
        route = Route((contract.agreement.model,), prompt=prompt.name)
        # Profiles choose who answers; who is compared with is the prompt's own choice, under policy like any call.
        profiles = {name: (route, *routes) for name, routes in config.profiles.items()}
        config = replace(config, routes=(route, *config.routes), profiles=profiles)
    # What was kept of the first answer would agree with it.
    task = replace(task, cached=False)
    return [await ask(task, config) for _ in range(contract.agreement.answers - 1)]


def _signals(
    prompt: Prompt, evidence: Mapping[str, Any], output: Mapping[str, Any], answers: list[Mapping[str, Any]]
) -> dict[str, float]:
    contract = prompt.answer
    assert contract.confidence is not None
    signals = signals_of(contract, output, evidence)
    if "agreement" in contract.confidence.signals:
        signals["agreement"] = agreement(answers, contract.confidence.agreement.fields)
    if "completeness" in contract.confidence.signals:
        declared = cast("Mapping[str, Any]", prompt.output_schema.get("properties") or {})
        signals["completeness"] = completeness(output, tuple(declared))
    return signals


def _confidence(call: Records, project: Project, contract: ConfidenceContract, signals: Mapping[str, float]) -> float:
    rounded = {name: round(value, 6) for name, value in signals.items()}
    fact: dict[str, Any] = {"rule": contract.kind, "signals": rounded}
    try:
        if contract.calibration is None:
            found = ConfidenceRule(contract.kind, contract.signals).score(signals)
        else:
            document = read_document(project.files[contract.calibration])
            found = document.probability(signals)
            fact |= {"calibration": contract.calibration, "calibration_version": document.version}
    except (InvalidError, KeyError) as error:
        raise StepError(f"No confidence can be made: {error}", kind="confidence") from error
    found = round(found, 6)
    call.record("answer.confidence", {**fact, "confidence": found})
    return found
