"""How good a released version was found to be: what evaluations measured, kept beside it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from signoff.catalog.registry import store
from signoff.catalog.registry.versions import version_source
from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, InvalidError, Problem
from signoff.core.ids import derived_id, uuid7
from signoff.foundation.database import Connection, Record

MAX_SHOWN = 500
"""How many scores are shown of the versions on one page: the newest of each metric, data set and model."""

_METRIC = re.compile(r"^[a-z][a-z0-9_]{0,62}\Z")
_MAX_CASES = 2_147_483_647


@dataclass(frozen=True, slots=True)
class Measurement:
    """One result of an evaluation.

    Attributes:
        metric: e.g. `accuracy`; the same name as in the prompt's `quality`.
        value: what was measured.
        n: on how many cases.
        dataset: on which data, as people name it.
        model: the model that answered.
    """

    metric: str
    value: float
    n: int
    dataset: str
    model: str


@dataclass(frozen=True, slots=True)
class Score:
    """A measurement that was kept: of which version, by whom and when."""

    score_id: UUID
    version: str
    measurement: Measurement
    scored_at: datetime
    scored_by: Actor


async def add_score(
    connection: Connection,
    actor: Actor,
    *,
    project: str,
    prompt: str,
    version: str,
    measurement: Measurement,
    now: datetime,
    idempotency_key: str | None = None,
) -> tuple[Score, bool]:
    """Keep a measurement of a released version; gives it, and whether it is new.

    The same key gives the same score. Nothing is ever replaced: what is shown is the newest.

    Raises:
        NotFoundError: that version was never released.
        InvalidError: a value that cannot be.
        ConflictError: the key was used for another measurement.
    """
    _require_sane(measurement)
    await version_source(connection, actor.org_id, project, prompt, version)
    score_id = uuid7() if idempotency_key is None else derived_id(actor.org_id, f"prompt-score/{idempotency_key}")
    row = {
        "project": project,
        "name": prompt,
        "version": version,
        "metric": measurement.metric,
        "value": measurement.value,
        "n": measurement.n,
        "dataset": measurement.dataset,
        "model": measurement.model,
        "scored_at": now,
        "scored_by": actor.as_dict(),
    }
    created = await store.insert_score(connection, actor.org_id, score_id, row)
    kept = await store.select_score(connection, actor.org_id, score_id)
    assert kept is not None
    same = all(kept[name] == row[name] for name in ("project", "name", "version", "metric", "value", "n", "dataset"))
    if not same or kept["model"] != measurement.model:
        raise ConflictError("The idempotency key was used for another score.")
    return _score(actor.org_id, kept), created


async def scores_of(
    connection: Connection, org_id: UUID, project: str, prompt: str, versions: Sequence[str]
) -> dict[str, list[Score]]:
    """The newest scores of some versions of a prompt, by version."""
    found: dict[str, list[Score]] = {version: [] for version in versions}
    rows = await store.select_scores(connection, org_id, project, prompt, versions=versions, limit=MAX_SHOWN)
    for row in rows:
        found[row["version"]].append(_score(org_id, row))
    return found


async def measured_qualities(connection: Connection, org_id: UUID, project: str, prompt: str) -> dict[str, float]:
    """How good each model was found at a prompt, from 0 to 1: the mean of its newest scores by their cases.

    Of metrics of which a version's `quality` promises at least so much, whichever version was measured.
    """
    rows = await store.select_qualities(connection, org_id, project, prompt)
    return {row["model"]: row["quality"] for row in rows}


def _require_sane(measurement: Measurement) -> None:
    problems: list[Problem] = []
    if not _METRIC.match(measurement.metric):
        problems.append(Problem("'metric' is written like accuracy.", pointer="/metric"))
    if not math.isfinite(measurement.value):
        problems.append(Problem("'value' is a number.", pointer="/value"))
    if not 1 <= measurement.n <= _MAX_CASES:
        problems.append(Problem("'n' is at least 1.", pointer="/n"))
    for name in ("dataset", "model"):
        text = getattr(measurement, name)
        if not 1 <= len(text) <= 200 or "\0" in text:  # noqa: PLR2004  (as the table has it)
            problems.append(Problem(f"'{name}' has 1 to 200 characters.", pointer=f"/{name}"))
    if problems:
        raise InvalidError("The score cannot be kept.", problems=problems)


def _score(org_id: UUID, row: Record) -> Score:
    return Score(
        row["score_id"],
        row["version"],
        Measurement(row["metric"], row["value"], row["n"], row["dataset"], row["model"]),
        row["scored_at"],
        Actor.from_dict(org_id, json.loads(row["scored_by"])),
    )
