"""What requests and responses about releases, environments and prompts hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Reason = Annotated[str, Field(max_length=2000)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}$", description="A release's digest, or how it begins.")]
Files = Annotated[
    dict[str, str],
    Field(max_length=2000, description="The project's files: Base64 (RFC 4648) of the bytes, by path with `/`."),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class MakeRelease(_Request):
    """A project to keep as a release."""

    files: Files
    message: Reason = Field(default="", description="Why; it becomes the changelog of the prompts that change.")
    dry_run: bool = Field(default=False, description="Say what would happen, and keep nothing.")


class PlanRelease(_Request):
    """What to plan: a project's files, or a release that is there."""

    files: Files | None = None
    release: Digest | None = None


class MoveEnvironment(_Request):
    """Where to point an environment."""

    release: Digest
    reason: Reason = ""
    override_quality: Annotated[str, Field(min_length=1, max_length=2000)] | None = Field(
        default=None,
        description="Why it goes ahead although its prompts miss their thresholds; asks `release.override_quality`.",
    )
    dry_run: bool = Field(default=False, description="Check and ask policy, and move nothing.")


class RollBack(_Request):
    """Back to the release before, or to an earlier one by name."""

    release: Digest | None = None
    reason: Reason = ""
    dry_run: bool = False


class PromptChangeOut(_Response):
    """A prompt version that a release brings."""

    prompt: str
    version: str
    previous: str | None
    bump: str
    changes: list[dict[str, str]]


class ReleaseMade(_Response):
    """The release of exactly those files."""

    project: str
    release: str
    created: bool = Field(description="False where these files were released before, or nothing was kept.")
    existed: bool = Field(description="Whether these files were released before, also of a dry run.")
    prompts: list[PromptChangeOut]


class ReleaseOut(_Response):
    """A release. Without `published_at` it is a snapshot of `signoff dev`, behind which nobody stands."""

    release: str
    project: str
    created_at: datetime
    created_by: str
    files: int
    environments: list[str]
    message: str | None
    published_at: datetime | None
    published_by: str | None
    used_by: str | None = Field(default=None, description="Why it cannot be deleted now; of one release alone.")


class ReleasePage(_Response):
    """Part of a project's releases, newest first."""

    items: list[ReleaseOut]
    next: str | None


class EnvironmentOut(_Response):
    """Where an environment points. Version 0: nowhere yet."""

    project: str
    environment: str
    version: int
    release: str | None
    changed_at: datetime | None
    changed_by: str | None
    operation: str
    reason: str


class EnvironmentPage(_Response):
    """The environments of a project."""

    items: list[EnvironmentOut]
    next: str | None = None


class EnvironmentMoved(_Response):
    """What a move did."""

    environment: EnvironmentOut
    before: str | None
    changed: bool = Field(description="False where it pointed there already, or of a dry run.")


class MoveOut(_Response):
    """One move of an environment."""

    version: int
    release: str
    operation: Literal["deploy", "rollback"]
    changed_at: datetime
    changed_by: str
    reason: str
    quality_override: dict[str, Any] | None = Field(
        default=None, description="`reason` and `shortfalls`, where thresholds were passed over."
    )


class MovePage(_Response):
    """Part of an environment's history, newest first."""

    items: list[MoveOut]
    next: str | None


class PlanOut(_Response):
    """What deploying would change."""

    project: str
    environment: str
    version: int = Field(description="The environment's: deploy with it as `If-Match`.")
    before: str | None
    after: str
    changed: bool
    changes: list[dict[str, Any]]
    flows: list[dict[str, Any]]
    costs: list[dict[str, Any]]
    quality: list[dict[str, Any]] = Field(description="Thresholds that are not reached: deploying would be refused.")
    problems: list[dict[str, Any]]
    warnings: list[dict[str, Any]]


class ScoreOut(_Response):
    """A measurement of a version."""

    score_id: UUID
    version: str
    metric: str
    value: float
    n: int
    dataset: str
    model: str
    scored_at: datetime
    scored_by: str
    threshold: dict[str, float] | None = Field(default=None, description="What the version's `quality` asks for.")
    met: bool | None = Field(default=None, description="Whether it is reached; null where nothing is asked for.")


class AddScore(_Request):
    """A measurement to keep beside a version."""

    metric: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", examples=["accuracy"])
    value: float = Field(allow_inf_nan=False)
    n: int = Field(ge=1, le=2_147_483_647, description="On how many cases.")
    dataset: str = Field(min_length=1, max_length=200)
    model: str = Field(min_length=1, max_length=200)


class PromptVersionOut(_Response):
    """A released version of a prompt, with its scores."""

    project: str
    prompt: str
    version: str
    previous: str | None
    bump: str
    changes: list[dict[str, str]]
    owners: list[str]
    data_class: str
    quality: dict[str, dict[str, float]]
    message: str
    digest: str
    release: str
    released_at: datetime
    released_by: str
    labels: list[str] = Field(default_factory=list[str], description="Those that point at it now.")
    environments: list[str] = Field(default_factory=list[str], description="Those whose release has exactly this file.")
    scores: list[ScoreOut] = Field(default_factory=list["ScoreOut"])
    source: str | None = Field(default=None, description="The file as released; of one version alone.")


class PromptPage(_Response):
    """Part of a list of prompts or of their versions."""

    items: list[PromptVersionOut]
    next: str | None


class MoveLabel(_Request):
    """Where to point a label."""

    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$")] | None = Field(
        description="A released version; null takes the label away."
    )
    reason: Reason = ""


class LabelOut(_Response):
    """Where a label of a prompt points, or pointed after a move. Place 0: there never was one."""

    project: str
    prompt: str
    label: str
    place: int = Field(description="How often it was moved.")
    version: str | None
    before: str | None
    changed_at: datetime | None
    changed_by: str | None
    reason: str


class LabelPage(_Response):
    """Labels of a prompt by name, or moves of one, newest first."""

    items: list[LabelOut]
    next: str | None = None


class PromptDifference(_Response):
    """Two versions side by side."""

    prompt: str
    before: str
    after: str
    bump: str | None
    changes: list[dict[str, str]]
    lines: list[dict[str, Any]] = Field(description="Pairs of lines, each with its number; `same`, `changed`, …")
