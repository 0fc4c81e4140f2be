"""Answers about releases, environments and prompts from what the catalog gives: for operations and commands alike."""

from __future__ import annotations

from signoff.api.delivery_messages import (
    EnvironmentMoved,
    EnvironmentOut,
    LabelOut,
    MoveOut,
    PromptChangeOut,
    PromptVersionOut,
    ReleaseMade,
    ReleaseOut,
    ScoreOut,
)
from signoff.catalog import Project
from signoff.catalog.delivery.environments import Environment, Moved
from signoff.catalog.delivery.listing import ReleaseDetail
from signoff.catalog.labels.beside import Beside
from signoff.catalog.labels.moving import Label
from signoff.catalog.registry.scores import Score
from signoff.catalog.registry.versions import ReleasedVersion, Versioning
from signoff.catalog.releases import EnvironmentChange


def made_out(project: Project, versioning: Versioning, *, created: bool, existed: bool) -> ReleaseMade:
    """What making a release did."""
    prompts = [
        PromptChangeOut(
            prompt=new.prompt.name,
            version=new.prompt.version,
            previous=new.previous,
            bump=new.bump,
            changes=[change.as_dict() for change in new.changes],
        )
        for new in versioning.new
    ]
    return ReleaseMade(project=project.name, release=project.digest, created=created, existed=existed, prompts=prompts)


def release_out(detail: ReleaseDetail, use: str | None = None) -> ReleaseOut:
    """A release, and what uses it."""
    return ReleaseOut(
        release=detail.digest,
        project=detail.project,
        created_at=detail.created_at,
        created_by=str(detail.created_by),
        files=detail.files,
        environments=list(detail.environments),
        message=detail.message,
        published_at=detail.published_at,
        published_by=None if detail.published_by is None else str(detail.published_by),
        used_by=use,
    )


def environment_out(environment: Environment) -> EnvironmentOut:
    """Where an environment points."""
    return EnvironmentOut(
        project=environment.project,
        environment=environment.name,
        version=environment.version,
        release=environment.release,
        changed_at=environment.changed_at,
        changed_by=None if environment.changed_by is None else str(environment.changed_by),
        operation=environment.operation,
        reason=environment.reason,
    )


def moved_out(moved: Moved) -> EnvironmentMoved:
    """What a move did."""
    return EnvironmentMoved(environment=environment_out(moved.environment), before=moved.before, changed=moved.changed)


def move_out(move: EnvironmentChange) -> MoveOut:
    """One move of an environment."""
    return MoveOut.model_validate(move.as_dict())


def prompt_out(version: ReleasedVersion, beside: Beside, source: str | None = None) -> PromptVersionOut:
    """A released version with what points at it and what was measured of it."""
    return PromptVersionOut(
        project=version.project,
        prompt=version.name,
        version=version.version,
        previous=version.previous,
        bump=version.bump,
        changes=[dict(change) for change in version.changes],
        owners=list(version.owners),
        data_class=version.data_class.name.lower(),
        quality={metric: bound.as_dict() for metric, bound in version.quality.items()},
        message=version.message,
        digest=version.digest,
        release=version.release,
        released_at=version.released_at,
        released_by=str(version.released_by),
        labels=beside.labels,
        environments=beside.environments,
        scores=[score_out(version, score) for score in beside.scores],
        source=source,
    )


def label_out(project: str, prompt: str, label: Label) -> LabelOut:
    """Where a label points."""
    return LabelOut(
        project=project,
        prompt=prompt,
        label=label.label,
        place=label.place,
        version=label.version,
        before=label.before,
        changed_at=label.changed_at,
        changed_by=None if label.changed_by is None else str(label.changed_by),
        reason=label.reason,
    )


def score_out(version: ReleasedVersion, score: Score) -> ScoreOut:
    """A score, held against the version's threshold."""
    bound = version.quality.get(score.measurement.metric)
    return ScoreOut(
        score_id=score.score_id,
        version=score.version,
        metric=score.measurement.metric,
        value=score.measurement.value,
        n=score.measurement.n,
        dataset=score.measurement.dataset,
        model=score.measurement.model,
        scored_at=score.scored_at,
        scored_by=str(score.scored_by),
        threshold=None if bound is None else bound.as_dict(),
        met=None if bound is None else bound.met(score.measurement.value),
    )
