"""Labels of prompt versions (`production`, `candidate`): names that people move, with who, when and why.

A label says what people think of a version. What runs is decided by releases alone: no document refers to a label.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from signoff.catalog.delivery.environments import require_reason
from signoff.catalog.labels import store
from signoff.catalog.registry.versions import version_source
from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, InvalidError, LimitError, NotFoundError, Problem
from signoff.foundation.database import Connection, Record

MAX_LABELS = 50
"""How many labels a prompt may have, those that were taken away among them."""

LABEL = r"^[a-z][a-z0-9-]{0,62}$"
_LABEL = re.compile(rf"{LABEL[:-1]}\Z")


class LabelMovedError(ConflictError):
    """Somebody else moved the label since the asker looked."""

    code = "label-moved"
    title = "The label has moved meanwhile"


@dataclass(frozen=True, slots=True)
class Label:
    """Where a label points, or pointed after a move.

    Attributes:
        place: how often it was moved; 0 where there never was one. A mover says which one it saw.
        version: none where it was taken away.
        before: what it pointed at before that move.
    """

    label: str
    place: int = 0
    version: str | None = None
    before: str | None = None
    reason: str = ""
    changed_at: datetime | None = None
    changed_by: Actor | None = None


async def list_labels(connection: Connection, org_id: UUID, project: str, name: str) -> list[Label]:
    """The labels of a prompt that point at a version."""
    rows = await store.select_labels(connection, org_id, project, name)
    return [_label(org_id, row) for row in rows if row["version"] is not None]


async def read_label(connection: Connection, org_id: UUID, project: str, name: str, label: str) -> Label:
    """Where a label points; place 0 where there never was one."""
    rows = await store.select_labels(connection, org_id, project, name, require_label(label))
    return _label(org_id, rows[0]) if rows else Label(label)


async def label_history(
    connection: Connection,
    org_id: UUID,
    project: str,
    name: str,
    label: str,
    *,
    before: int | None = None,
    limit: int = 50,
) -> list[Label]:
    """The moves of a label, newest first.

    Raises:
        NotFoundError: there never was one.
    """
    key = (project, name, require_label(label))
    rows = await store.select_changes(connection, org_id, key, before=before, limit=limit)
    if not rows and before is None:
        raise NotFoundError(f"Prompt '{name}' of '{project}' has no label '{label}'.")
    return [_label(org_id, row) for row in rows]


async def move_label(
    connection: Connection,
    actor: Actor,
    *,
    project: str,
    prompt: str,
    label: str,
    version: str | None,
    seen: int | None,
    reason: str,
    now: datetime,
) -> tuple[Label, bool]:
    """Point a label at a released version, or take it away; gives it, and whether that was a change.

    A move to where it points already changes nothing, whatever was seen: a retry finds its own first try.

    Raises:
        NotFoundError: that version was never released.
        LabelMovedError: it is not at `seen` any more; says who moved it and where to.
        LimitError: the prompt has `MAX_LABELS` already.
        InvalidError: this is no label's name, or the reason is too long.
    """
    reason = require_reason(reason, "reason")
    before = await read_label(connection, actor.org_id, project, prompt, label)
    if version is not None:
        await version_source(connection, actor.org_id, project, prompt, version)
    if before.version == version:
        return before, False
    if not before.place and await store.count_labels(connection, actor.org_id, project, prompt) >= MAX_LABELS:
        raise LimitError(f"Prompt '{prompt}' has {MAX_LABELS} labels. Use one that is there.")
    key = (project, prompt, label)
    place = None
    if seen is None or seen == 0 or before.place:
        place = await store.point(connection, actor.org_id, key, version=version, seen=seen)
    if place is None:
        return await _not_moved(connection, actor, key, version, seen)
    row = {
        "version": version,
        "before": before.version,
        "reason": reason,
        "changed_at": now,
        "changed_by": actor.as_dict(),
    }
    await store.insert_change(connection, actor.org_id, key, place, row)
    return await read_label(connection, actor.org_id, project, prompt, label), True


def require_label(text: str) -> str:
    """The label's name.

    Raises:
        InvalidError: it is none.
    """
    if not _LABEL.match(text):
        detail = f"'{text[:80]}' is no label: use lower-case letters, digits and '-', such as production."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/label", code="name")])
    return text


async def _not_moved(
    connection: Connection, actor: Actor, key: tuple[str, str, str], version: str | None, seen: int | None
) -> tuple[Label, bool]:
    """Why the upsert changed nothing: another one was first, with the same version or with another one."""
    now = await read_label(connection, actor.org_id, *key)
    if now.place and now.version == version:
        return now, False
    where = f"at version {now.version}" if now.version else "nowhere"
    who = f", moved by {now.changed_by}" if now.changed_by else ""
    raise LabelMovedError(
        f"Label '{key[2]}' of prompt '{key[1]}' is at its place {now.place} ({where}{who}), not at {seen} as you saw "
        "it. Look at it again, and decide on where it is now.",
        place=now.place,
        version=now.version,
    )


def _label(org_id: UUID, row: Record) -> Label:
    return Label(
        label=row["label"],
        place=row["place"],
        version=row["version"],
        before=row["before"],
        reason=row["reason"],
        changed_at=row["changed_at"],
        changed_by=Actor.from_dict(org_id, json.loads(row["changed_by"])),
    )
