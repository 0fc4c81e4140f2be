"""Prompts against the rest of their project: models that can answer them, roles that own them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from signoff.catalog.calibrations import check_calibration
from signoff.catalog.model import Project
from signoff.catalog.models import LOCAL_PROVIDERS, ModelSpec
from signoff.catalog.prompts import Prompt
from signoff.core.errors import NotFoundError, Problem, did_you_mean
from signoff.workflows.model import Expression, Step, Workflow, every_step

_APART = {
    "agreement": "compares several answers, and it gives one only",
    "likelihood": "rests on how likely one answer's words are, and it has a conversation",
}
"""Signals of single answers, and why agents and plans have none of them."""


def check_prompts(project: Project) -> Iterator[Problem]:
    """Everything that prompts need of other files and that is not there."""
    for prompt in project.prompts:
        yield from _owners(project, prompt)
        models = _models(project, prompt)
        for model in models:
            yield from _needs(prompt, model)
        if prompt.answer.confidence is not None and prompt.answer.confidence.asks_likelihood:
            yield from _likelihoods(prompt, models)
        yield from _confidence(project, prompt)
    for workflow in project.workflows.values():
        if workflow.python is None:
            yield from _asked_reviews(project, workflow)
            yield from _citations(project, workflow)
            yield from _compared(project, workflow)


def _owners(project: Project, prompt: Prompt) -> Iterator[Problem]:
    for owner in prompt.owners:
        kind, _, name = owner.partition("/")
        if kind == "role" and name not in project.roles:
            suggestion = did_you_mean(name, tuple(project.roles)) or f"Add '{name}' under 'roles' in signoff.yaml."
            detail = f"Prompt '{prompt.name}' is owned by the role '{name}', which signoff.yaml does not list."
            yield Problem(detail, prompt.file, suggestion=suggestion, code="unknown-reference")


def _models(project: Project, prompt: Prompt) -> list[ModelSpec]:
    """Every model that may answer the prompt, in any profile."""
    found: dict[str, ModelSpec] = {}
    for profile in (None, *project.models.profiles):
        for model in project.models.route(prompt.task, prompt.name, profile=profile):
            found[model.name] = model
    return list(found.values())


def _needs(prompt: Prompt, model: ModelSpec) -> Iterator[Problem]:
    needs = prompt.needs
    reasons: list[str] = []
    if needs.local and model.provider not in LOCAL_PROVIDERS:
        reasons.append("runs outside this deployment, and the prompt needs a local one")
    if needs.region is not None and model.settings.get("region") != needs.region:
        said = model.settings.get("region") or "no region"
        reasons.append(f"says {said}, and the prompt needs {needs.region}")
    context = model.settings.get("context_tokens")
    if needs.context_tokens is not None and (not isinstance(context, int) or context < needs.context_tokens):
        said = f"takes {context} tokens" if isinstance(context, int) else "says no 'context_tokens'"
        reasons.append(f"{said}, and the prompt needs {needs.context_tokens}")
    for reason in reasons:
        detail = f"Model '{model.name}', which answers prompt '{prompt.name}', {reason}."
        suggestion = f"Give the prompt a route of its own in models.yaml: - {{prompt: {prompt.name}, use: […]}}."
        yield Problem(detail, prompt.file, suggestion=suggestion, code="unable-model")


def _confidence(project: Project, prompt: Prompt) -> Iterator[Problem]:
    contract = prompt.answer.confidence
    if contract is None:
        return
    model = contract.agreement.model
    if model is not None and model not in project.models.models:
        suggestion = did_you_mean(model, tuple(project.models.models)) or "Add it to models.yaml."
        detail = f"Prompt '{prompt.name}' compares with the model '{model}', which models.yaml does not have."
        yield Problem(detail, prompt.file, suggestion=suggestion, code="unknown-reference")
    file = contract.calibration
    if file is None:
        return
    if file not in project.files:
        there = tuple(name for name in project.files if name.startswith("calibrations/"))
        fit = f"Make it: signoff confidence fit {prompt.name} --cases golden.jsonl --out {file}."
        detail = f"Prompt '{prompt.name}' is calibrated by '{file}', which is not there."
        yield Problem(detail, prompt.file, suggestion=did_you_mean(file, there) or fit, code="unknown-reference")
        return
    yield from check_calibration(prompt, contract, file, project.files[file])


def _likelihoods(prompt: Prompt, models: Iterable[ModelSpec]) -> Iterator[Problem]:
    """Models that answer a prompt whose confidence rests on log-probabilities, and say none: each would be unsure."""
    for model in models:
        if model.says_likelihood:
            continue
        detail = (
            f"Model '{model.name}', which answers prompt '{prompt.name}', does not say how likely it finds its words."
        )
        suggestion = "Give the prompt a route of models that do, or take 'likelihood' out of its signals."
        yield Problem(detail, prompt.file, suggestion=suggestion, code="unable-model")


def _asked_reviews(project: Project, workflow: Workflow) -> Iterator[Problem]:
    """Filters that can ask for a person, and a workflow that does not listen: nobody would be asked."""
    steps = list(every_step(workflow.steps))
    heard = {
        read.root
        for step in steps
        for expression in _expressions(step)
        for read in expression.reads
        if read.path[:1] == ("filtered",)
    }
    for step in steps:
        if step.verb not in ("ai", "agent", "plan") or "tools" in step.settings or step.name in heard:
            continue
        try:
            prompt = project.prompts.find(step.target)
        except NotFoundError:
            continue  # told by the compiler
        if prompt.answer.may_ask:
            detail = (
                f"A filter of prompt '{prompt.name}' can ask for a person, and nothing reads '{step.name}.filtered'."
            )
            suggestion = f"Give a review 'when: {step.name}.filtered.review', or let the filter block."
            yield Problem(detail, step.file or workflow.file, step.line, suggestion=suggestion, code="unheard-filter")


def _compared(project: Project, workflow: Workflow) -> Iterator[Problem]:
    """Agents whose prompt compares several answers: a conversation with its calls happens once."""
    for step in every_step(workflow.steps):
        if step.verb not in ("agent", "plan"):
            continue
        try:
            confidence = project.prompts.find(step.target).answer.confidence
        except NotFoundError:
            continue  # told by the compiler
        for signal, why in _APART.items():
            if confidence is None or signal not in confidence.signals:
                continue
            detail = f"The confidence of the prompt of '{step.name}' {why}."
            suggestion = f"Take '{signal}' out of the prompt's signals."
            yield Problem(detail, step.file or workflow.file, step.line, suggestion=suggestion, code="value")


def _citations(project: Project, workflow: Workflow) -> Iterator[Problem]:
    """Prompts that must cite, and steps that give them what no `retrieve` of the run gave: none of it would count."""
    named: dict[str, list[Step]] = {}
    for step in every_step(workflow.steps):
        named.setdefault(step.name, []).append(step)
    for step in (one for found in named.values() for one in found if one.verb == "ai"):
        try:
            citations = project.prompts.find(step.target).answer.citations
        except NotFoundError:
            continue  # told by the compiler
        given = step.arguments.get("with")
        passages = given.parts.get(citations.source) if given is not None and citations is not None else None
        if citations is not None and passages is not None and not _retrieved(passages, named):
            detail = (
                f"The prompt of '{step.name}' cites what is retrieved, and '{citations.source}' gets what no 'retrieve'"
                " step of this workflow gives."
            )
            suggestion = f"Write '{citations.source}: \"${{docs.hits}}\"', with a step 'docs: {{retrieve: …}}'."
            yield Problem(detail, step.file or workflow.file, step.line, suggestion=suggestion, code="no-retrieval")


def _retrieved(passages: Expression, named: Mapping[str, list[Step]]) -> bool:
    """Whether what an expression reads may come from a `retrieve` step; variables of groups and fragments may."""
    to_see = [read.root for read in passages.reads]
    seen = {"input"}
    while to_see:
        root = to_see.pop()
        if root in seen:
            continue
        seen.add(root)
        if root not in named or any(step.verb == "retrieve" for step in every_step(named[root])):
            return True
        to_see += [
            read.root
            for step in every_step(named[root])
            for expression in _expressions(step)
            for read in expression.reads
        ]
    return False


def _expressions(step: Step) -> Iterable[Expression]:
    single = (step.when, step.needed, step.give, step.until, step.fallback_give)
    return (*step.arguments.values(), *step.asserts, *(found for found in single if found is not None))
