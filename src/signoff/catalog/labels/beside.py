"""What is shown beside a version: its scores, its labels, and the environments that have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from signoff.catalog.labels import store
from signoff.catalog.registry.scores import Score, scores_of
from signoff.foundation.database import Connection


@dataclass(frozen=True, slots=True)
class Beside:
    """What points at a version, and what was measured of it.

    Attributes:
        scores: the newest of each metric, data set and model.
        labels: those that point at it now.
        environments: those whose release has exactly this file.
    """

    scores: list[Score] = field(default_factory=list["Score"])
    labels: list[str] = field(default_factory=list[str])
    environments: list[str] = field(default_factory=list[str])


async def beside(
    connection: Connection, org_id: UUID, project: str, prompt: str, versions: Sequence[str]
) -> dict[str, Beside]:
    """The same for some versions of a prompt, by version."""
    scores = await scores_of(connection, org_id, project, prompt, versions)
    found = {version: Beside(scores[version]) for version in versions}
    for row in await store.select_labelled(connection, org_id, project, prompt, versions):
        found[row["version"]].labels.append(row["label"])
    for row in await store.select_environments(connection, org_id, project, prompt, versions):
        found[row["version"]].environments.append(row["name"])
    return found
