"""A prompt's quality thresholds at deployment: what was measured of exactly these files must reach them.

Only scores by models that the prompt's routes name are looked at; of each data set and model the newest, and all of
them must reach the threshold. None at all is a miss too: a threshold that nobody has measured promises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from signoff.catalog.model import Project
from signoff.catalog.prompts import Prompt, Threshold
from signoff.catalog.registry.scores import Score, scores_of
from signoff.catalog.registry.versions import released_version
from signoff.core.errors import ConflictError, NotFoundError, Problem
from signoff.foundation.database import Connection

OVERRIDE = "release.override_quality"
"""The action that policy is asked about where somebody deploys all the same."""


class QualityError(ConflictError):
    """A prompt of the release misses its thresholds, or was never measured. `problems` has each one."""

    code = "quality-threshold"
    title = "A prompt does not reach its quality thresholds"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A threshold that is not reached.

    Attributes:
        measured: the score that misses it; none where there is none.
        dataset: on which data that was.
        model: by which model; where nothing was measured, those that could answer.
    """

    prompt: str
    version: str
    file: str
    metric: str
    threshold: Threshold
    measured: float | None
    dataset: str
    model: str

    def as_dict(self) -> dict[str, Any]:
        """The shortfall for JSON."""
        return {
            "prompt": self.prompt,
            "version": self.version,
            "metric": self.metric,
            "threshold": self.threshold.as_dict(),
            "measured": self.measured,
            "dataset": self.dataset,
            "model": self.model,
        }

    def __str__(self) -> str:
        bounds = " and ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in self.threshold.as_dict().items())
        if self.measured is None:
            return f"{self.prompt}@{self.version}: {self.metric} must be {bounds}, and has no score by {self.model}"
        found = f"{self.measured:g} on {self.dataset} by {self.model}"
        return f"{self.prompt}@{self.version}: {self.metric} must be {bounds}, and is {found}"

    def problem(self) -> Problem:
        """What is told of it."""
        run = f"'signoff prompts test {self.prompt} --record' or 'signoff prompts score'"
        return Problem(
            f"{self}.",
            self.file,
            suggestion=f"Measure it ({run}), or deploy with --override-quality REASON where policy permits.",
            code="quality",
        )


async def shortfalls_of(connection: Connection, org_id: UUID, project: Project) -> tuple[Shortfall, ...]:
    """Every threshold that a project's prompts do not reach by the scores that are kept."""
    found: list[Shortfall] = []
    for prompt in sorted(project.prompts, key=lambda one: (one.name, one.version)):
        if not prompt.quality:
            continue
        scores: list[Score] = []
        if await _is_released(connection, org_id, project.name, prompt):
            by_version = await scores_of(connection, org_id, project.name, prompt.name, [prompt.version])
            scores = by_version[prompt.version]
        found += _missed(prompt, _models(project, prompt), scores)
    return tuple(found)


def require_quality(shortfalls: Iterable[Shortfall], environment: str) -> None:
    """Return only where nothing is missed.

    Raises:
        QualityError: with each threshold: which prompt, what it asks for, and what was measured.
    """
    problems = [shortfall.problem() for shortfall in shortfalls]
    if problems:
        count = f"{len(problems)} quality threshold{'s are' if len(problems) > 1 else ' is'}"
        raise QualityError(f"Not deployed to '{environment}': {count} not reached.", problems=problems)


def override_facts(shortfalls: Iterable[Shortfall]) -> dict[str, Any]:
    """What policies are told of thresholds that somebody wants to pass over."""
    found = list(shortfalls)
    return {
        "prompts": sorted({shortfall.prompt for shortfall in found}),
        "metrics": sorted({shortfall.metric for shortfall in found}),
        "measured": all(shortfall.measured is not None for shortfall in found),
    }


async def _is_released(connection: Connection, org_id: UUID, project: str, prompt: Prompt) -> bool:
    """Whether that version was released with exactly this file: another's scores say nothing of it."""
    try:
        version = await released_version(connection, org_id, project, prompt.name, prompt.version)
    except NotFoundError:
        return False
    return version.digest == prompt.digest


def _models(project: Project, prompt: Prompt) -> tuple[str, ...]:
    """The models that may answer the prompt, by any profile."""
    profiles = (None, *project.models.profiles)
    routes = (project.models.route(prompt.task, prompt.name, profile=profile) for profile in profiles)
    return tuple(dict.fromkeys(spec.name for route in routes for spec in route))


def _missed(prompt: Prompt, models: tuple[str, ...], scores: list[Score]) -> list[Shortfall]:
    found: list[Shortfall] = []
    for metric, threshold in prompt.quality.items():
        about = (prompt.name, prompt.version, prompt.file, metric, threshold)
        known = [one.measurement for one in scores if one.measurement.metric == metric]
        known = [one for one in known if one.model in models]
        if not known:
            found.append(Shortfall(*about, None, "", " or ".join(models) or "any model: no route is for it"))
        found += [Shortfall(*about, one.value, one.dataset, one.model) for one in known if not threshold.met(one.value)]
    return found
