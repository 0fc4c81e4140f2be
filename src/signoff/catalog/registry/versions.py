"""Released versions of prompts: what a release may bring, and what every version was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from signoff.catalog.model import Project
from signoff.catalog.parsing.fields import Fields, Report
from signoff.catalog.parsing.prompts import parse_prompt, split_front_matter
from signoff.catalog.prompts import Prompt, Threshold
from signoff.catalog.registry import store
from signoff.catalog.registry.compatibility import ContractChange, heaviest, lowest_next
from signoff.catalog.registry.prompt_changes import compare_prompts
from signoff.catalog.versions import parse_version
from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, DefinitionError, NotFoundError, Problem
from signoff.core.ids import digest
from signoff.core.labels import DataClass
from signoff.foundation.database import Connection, Record
from signoff.workflows.documents import load_document


class PromptVersionError(ConflictError):
    """A prompt changed, and its version does not say so as it must. `problems` has each one."""

    code = "prompt-version"
    title = "The prompt's version does not fit its change"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that a release would bring.

    Attributes:
        previous: the highest released version below it, or none where it is the first.
        changes: what is different from that.
    """

    prompt: Prompt
    previous: str | None
    changes: tuple[ContractChange, ...] = ()

    @property
    def bump(self) -> str:
        """The version's part that had to rise; `first` where there is nothing before."""
        return "first" if self.previous is None else heaviest(self.changes) or "patch"


@dataclass(frozen=True, slots=True)
class Versioning:
    """What a release would do to the registry: the new versions, and why it may not."""

    new: tuple[NewVersion, ...] = ()
    problems: tuple[Problem, ...] = ()

    def require(self) -> None:
        """Return only where nothing stands against it.

        Raises:
            PromptVersionError: with every prompt whose version does not fit.
        """
        if self.problems:
            count = len(self.problems)
            detail = f"{count} prompt{'s do' if count > 1 else ' does'} not say in the version what changed."
            raise PromptVersionError(detail, problems=self.problems)


@dataclass(frozen=True, slots=True)
class ReleasedVersion:
    """A version as it was released. It never changes."""

    project: str
    name: str
    version: str
    previous: str | None
    bump: str
    changes: tuple[Mapping[str, str], ...]
    owners: tuple[str, ...]
    data_class: DataClass
    quality: Mapping[str, Threshold]
    message: str
    digest: str
    file: str
    release: str
    released_at: datetime
    released_by: Actor


def parse_source(file: str, text: str) -> Prompt:
    """The prompt of one file alone.

    Raises:
        DefinitionError: this version of Signoff does not accept it; with every problem.
    """
    problems: list[Problem] = []
    text = text.removeprefix("\ufeff")
    parts = split_front_matter(text.replace("\r\n", "\n"))
    if parts is None:
        problem = Problem("The prompt has no front matter.", file, 1, 1, code="front-matter")
        raise DefinitionError(problem.detail, problems=[problem])
    node = load_document(parts[0], file)
    report = Report(file, node, problems)
    prompt = parse_prompt(Fields(report, node.plain()), parts[1], parts[2], digest=digest(text.encode()))
    if problems:
        raise DefinitionError(f"{file} has {len(problems)} problems.", problems=problems)
    return prompt


async def versioning_of(connection: Connection, org_id: UUID, project: Project) -> Versioning:
    """What releasing a project would do to the registry."""
    taken = await store.select_taken(connection, org_id, project.name)
    new: list[NewVersion] = []
    problems: list[Problem] = []
    for prompt in project.prompts:
        known = taken.get((prompt.name, prompt.version))
        if known == prompt.digest:
            continue
        below = _below(taken, prompt, including=known is not None)
        if below is None:
            new.append(NewVersion(prompt, None))
            continue
        changes = await _changes(connection, org_id, project.name, prompt, below)
        new.append(NewVersion(prompt, below, changes))
        problem = _problem(prompt, below, changes)
        if problem is not None:
            problems.append(problem)
    return Versioning(tuple(new), tuple(problems))


def _below(taken: Mapping[tuple[str, str], str], prompt: Prompt, *, including: bool) -> str | None:
    """The highest released version that is lower; or that is the same, where that is released."""
    at = parse_version(prompt.version)
    versions = [version for name, version in taken if name == prompt.name]
    lower = [
        version for version in versions if parse_version(version) < at or (including and version == prompt.version)
    ]
    return max(lower, key=parse_version, default=None)


async def _changes(
    connection: Connection, org_id: UUID, project: str, prompt: Prompt, version: str
) -> tuple[ContractChange, ...]:
    found = await store.select_source(connection, org_id, project, prompt.name, version)
    assert found is not None
    try:
        old = parse_source(found[0], found[1])
    except DefinitionError:
        # Written for another version of Signoff: what it promised cannot be told.
        return (ContractChange("major", "file", f"{version} can no longer be read"),)
    return compare_prompts(old, prompt)


def _problem(prompt: Prompt, below: str, changes: tuple[ContractChange, ...]) -> Problem | None:
    """Why the version does not fit the change, or none."""
    demanded = heaviest(changes) or "patch"
    lowest = lowest_next(parse_version(below), demanded)
    if parse_version(prompt.version) >= lowest:
        return None
    weighty = [change for change in changes if change.bump == demanded]
    why = "; ".join(f"{change.place} {change.detail}" for change in weighty[:3])
    same = below == prompt.version
    detail = (
        f"Prompt {prompt.name}@{prompt.version} was released with another content"
        if same
        else f"Prompt {prompt.name}@{prompt.version} follows {below}"
    )
    wanted = ".".join(map(str, lowest))
    return Problem(
        f"{detail}, and this is a {demanded} change: {why}.",
        prompt.file,
        suggestion=f"Write 'version: {wanted}'.",
        code="prompt-version",
    )


async def keep_versions(
    connection: Connection,
    org_id: UUID,
    project: Project,
    versioning: Versioning,
    *,
    release: str,
    message: str,
    actor: Actor,
    now: datetime,
) -> None:
    """Write the new versions of a release. Call it under the lock of publishing, in the same transaction."""
    for new in versioning.new:
        prompt = new.prompt
        await store.insert_version(
            connection,
            org_id,
            {
                "project": project.name,
                "name": prompt.name,
                "version": prompt.version,
                "digest": prompt.digest,
                "file": prompt.file,
                "source": project.files[prompt.file].decode("utf-8-sig"),
                "previous": new.previous,
                "bump": new.bump,
                "changes": [change.as_dict() for change in new.changes],
                "owners": prompt.owners,
                "data_class": int(prompt.data_class),
                "quality": {metric: bound.as_dict() for metric, bound in prompt.quality.items()},
                "message": message,
                "release": release,
                "released_at": now,
                "released_by": actor.as_dict(),
            },
        )


async def list_prompts(
    connection: Connection, org_id: UUID, project: str, *, after: str | None = None, limit: int = 50
) -> list[ReleasedVersion]:
    """The latest version of each prompt of a project, by name."""
    rows = await store.select_latest(connection, org_id, project, after, limit)
    return [_released(org_id, project, row) for row in rows]


async def prompt_history(
    connection: Connection, org_id: UUID, project: str, name: str, *, before: str | None = None, limit: int = 50
) -> list[ReleasedVersion]:
    """The released versions of a prompt, the highest first.

    Raises:
        NotFoundError: no version of it was ever released.
    """
    rows = await store.select_versions(connection, org_id, project, name, before=before, limit=limit)
    if not rows and before is None:
        raise NotFoundError(f"Project '{project}' has released no prompt '{name}'.")
    return [_released(org_id, project, row) for row in rows]


async def released_version(
    connection: Connection, org_id: UUID, project: str, name: str, version: str
) -> ReleasedVersion:
    """One released version.

    Raises:
        NotFoundError: it was never released.
    """
    row = await store.select_version(connection, org_id, project, name, version)
    if row is None:
        raise NotFoundError(f"Project '{project}' has released no prompt {name}@{version}.")
    return _released(org_id, project, row)


async def version_source(
    connection: Connection, org_id: UUID, project: str, name: str, version: str
) -> tuple[str, str, str]:
    """File, text and digest of a released version.

    Raises:
        NotFoundError: it was never released.
    """
    found = await store.select_source(connection, org_id, project, name, version)
    if found is None:
        raise NotFoundError(f"Project '{project}' has released no prompt {name}@{version}.")
    return found


def _released(org_id: UUID, project: str, row: Record) -> ReleasedVersion:
    quality: dict[str, dict[str, float]] = json.loads(row["quality"])
    return ReleasedVersion(
        project=project,
        name=row["name"],
        version=row["version"],
        previous=row["previous"],
        bump=row["bump"],
        changes=tuple(json.loads(row["changes"])),
        owners=tuple(row["owners"]),
        data_class=DataClass(row["data_class"]),
        quality={metric: Threshold(**bounds) for metric, bounds in quality.items()},
        message=row["message"],
        digest=row["digest"],
        file=row["file"],
        release=row["release"],
        released_at=row["released_at"],
        released_by=Actor.from_dict(org_id, json.loads(row["released_by"])),
    )
