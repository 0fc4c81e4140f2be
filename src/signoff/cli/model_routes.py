"""What `signoff models route` works out and prints: who would be asked, in what order and why. Nothing is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.asking import Asked, Caller, Considered
from signoff.capabilities.gateway.routing.model import Needs
from signoff.catalog import Project
from signoff.catalog.models import CAPABILITIES, MODALITIES, Requires
from signoff.catalog.projects import load_project_files
from signoff.catalog.sources import read_files
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.core.errors import InvalidError, did_you_mean
from signoff.core.ids import uuid7
from signoff.core.labels import DataClass, Labels, Trust
from signoff.governance.policy import Decision, PolicySet, model_request
from signoff.runtime.handlers import RunFacts

_NOBODY = UUID(int=0)
_LABELS = ("class", "trust", "residency")


@dataclass(frozen=True, slots=True)
class Question:
    """What a call would be, whose route is asked for.

    Attributes:
        task, model, prompt: as in `Asked`.
        labels: of the data.
        actor: who would have started it, as `kind/id`.
        workflow: for policies that look at it; its risk is then the call's.
        region, latency_s, sticky: as in `Asked`.
        needs: what the request needs.
        tokens: how many it reads and may write, for prices.
        environment, profile: where it would run.
    """

    task: str
    model: str = ""
    prompt: str = ""
    labels: Labels = field(default_factory=Labels)
    actor: str = "user/developer"
    workflow: str = ""
    region: str = ""
    latency_s: float | None = None
    sticky: str = ""
    needs: Requires = field(default_factory=Requires)
    tokens: tuple[int, int] = (1_000, 500)
    environment: str = "dev"
    profile: str | None = None


async def considered(directory: Path, question: Question) -> Sequence[Considered]:
    """Every model of the route, judged by the project's own policies.

    Raises:
        DefinitionError: the project has problems.
        InvalidError: the question has.
        GatewayError: there is no such route.
    """
    project = load_project_files(read_files(directory))
    policies = PolicySet.parse(project.policies)
    run = _run(project, question)

    def decide(model: str, attributes: Mapping[str, Any], /) -> Decision:
        request = model_request(
            run,
            model=model,
            provider=attributes["provider"],
            task=attributes["task"],
            prompt=question.prompt,
            prompt_version="",
            labels=question.labels,
            local=attributes["local"],
            region=attributes["region"],
            environment=question.environment,
        )
        return policies.decide(request)

    asked = Asked(
        caller=Caller(_NOBODY, project.name, question.environment, project.digest, question.actor),
        model=question.model,
        task=question.task,
        prompt=question.prompt,
        data_labels=question.labels,
        risk=run.risk,
        region=question.region,
        latency_s=question.latency_s,
        sticky=question.sticky,
    )
    reads, writes = question.tokens
    gateway = Gateway(profile=question.profile)
    try:
        return await gateway.explain(asked, project.models, decide=decide, needs=Needs(question.needs, reads, writes))
    finally:
        await gateway.aclose()


def labels_of(words: Sequence[str]) -> Labels:
    """Labels from `class=confidential`, `trust=untrusted`, `residency=eu`; residency may come more than once.

    Raises:
        InvalidError: a word is none of these.
    """
    data_class, trust, residency = DataClass.PUBLIC, Trust.TRUSTED, set[str]()
    for word in words:
        key, _, value = word.partition("=")
        try:
            if key == "class":
                data_class = DataClass[value.upper()]
            elif key == "trust":
                trust = Trust[value.upper()]
            elif key == "residency" and value:
                residency.add(value)
            else:
                hint = did_you_mean(key, _LABELS) or f"Write one of: {', '.join(f'{name}=…' for name in _LABELS)}."
                raise InvalidError(f"'{word}' is no label. {hint}")
        except KeyError as error:
            known = DataClass if key == "class" else Trust
            raise InvalidError(
                f"'{value}' is no {key}; there are: {', '.join(one.name.lower() for one in known)}."
            ) from error
    return Labels(data_class, trust, frozenset(residency))


def needs_of(words: Sequence[str], context_tokens: int) -> Requires:
    """What is required, from words such as `image` and `tools`.

    Raises:
        InvalidError: a word is neither.
    """
    known = (*MODALITIES, *CAPABILITIES)
    for word in words:
        if word not in known:
            hint = did_you_mean(word, known) or f"There are: {', '.join(known)}."
            raise InvalidError(f"'{word}' is nothing that models do. {hint}")
    chosen = frozenset(words)
    return Requires(chosen & frozenset(MODALITIES), chosen & frozenset(CAPABILITIES), context_tokens)


def facts(item: Considered) -> dict[str, Any]:
    """One model for JSON."""
    return {
        "model": item.model,
        "rank": item.rank or None,
        "excluded": item.excluded or None,
        "by": list(item.by),
        "why": dict(item.why),
    }


def row(item: Considered) -> tuple[str, str, str]:
    """One model for a table: its place, its name, and why."""
    if not item.rank:
        return "-", item.model, item.excluded
    told = ", ".join(f"{name} {value}" for name, value in item.why.items()) or "in the route's order"
    return str(item.rank), item.model, told


def _run(project: Project, question: Question) -> RunFacts:
    kind, _, name = question.actor.partition("/")
    if kind not in ("user", "key", "system") or not name:
        raise InvalidError(f"'{question.actor}' is nobody. Write who starts it, such as user/ana or key/intake.")
    workflow = project.workflows.get(question.workflow)
    if question.workflow and workflow is None:
        hint = did_you_mean(question.workflow, tuple(project.workflows)) or ""
        raise InvalidError(f"There is no workflow '{question.workflow}'. {hint}")
    return RunFacts(
        org_id=_NOBODY,
        run_id=uuid7(),
        workflow=question.workflow,
        version="" if workflow is None else workflow.version,
        release=project.digest,
        risk="low" if workflow is None else workflow.risk,
        started_by=Actor(_NOBODY, kind, name),
        started_at=SystemClock().now(),
    )
