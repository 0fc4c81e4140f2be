"""`signoff prompts test --record`: the share of a prompt's cases that passed, kept as a score of its version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from signoff.cli.output import tell
from signoff.core.errors import ConflictError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from signoff.catalog import Project, Prompt
    from signoff.catalog.registry.cases import CaseResult
    from signoff.cli.delivery_protocol import Deliverer

DATASET = "tests"
"""What a score of a prompt's own cases names as its data set."""


def require_released(through: Deliverer, project: Project, prompts: Sequence[Prompt]) -> None:
    """Return only where the prompts' versions were released as they are; ask before any model is.

    Raises:
        ConflictError: the file is another than the version that was released: the score would be of something else.
        NotFoundError: the version was not released yet.
    """
    for prompt in prompts:
        try:
            released = through.prompt_source(project.name, prompt.name, prompt.version)
        except NotFoundError as error:
            raise NotFoundError(f"{error.detail} A score is of a released version: 'signoff release' first.") from error
        if released["digest"] != prompt.digest:
            detail = f"{prompt.file} is not what {prompt.name}@{prompt.version} was released with."
            raise ConflictError(f"{detail} Release it under a new version first.")


def keep_scores(
    through: Deliverer, project: Project, prompts: Sequence[Prompt], results: Sequence[CaseResult], *, metric: str
) -> None:
    """Keep a score of each prompt whose cases were run.

    Raises:
        InvalidError: several models answered, or none did: a score is of one.
    """
    for prompt in prompts:
        given = _score(prompt, [one for one in results if (one.prompt, one.version) == (prompt.name, prompt.version)])
        kept = through.add_score(project.name, prompt.name, prompt.version, {"metric": metric, **given}, None)
        met = {True: "reaches its threshold", False: "misses its threshold", None: "no threshold"}[kept["met"]]
        tell(f"Kept {metric} {kept['value']:g} of {prompt.name}@{prompt.version} by {kept['model']} ({met}).")


def _score(prompt: Prompt, results: Sequence[CaseResult]) -> dict[str, Any]:
    models = sorted({result.model for result in results if result.model})
    if len(models) != 1:
        answered = f"by several models ({', '.join(models)})" if models else "by no model"
        detail = f"The cases of {prompt.name}@{prompt.version} were answered {answered}; a score is of one."
        raise InvalidError(f"{detail} Choose a profile with one model by --models.")
    passed = sum(result.passed for result in results)
    return {"value": passed / len(results), "n": len(results), "dataset": DATASET, "model": models[0]}
