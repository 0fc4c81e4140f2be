"""What runs want written, and what becomes of it: the entries of the journal's writer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from signoff.core.fresh import fresh_dict, fresh_list
from signoff.core.values import value
from signoff.foundation.database import Connection
from signoff.runtime import store
from signoff.runtime.artifacts import Content
from signoff.runtime.attribute_values import AttributeRow
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.events import EventKind

SoloWrite = Callable[[Connection], Awaitable[None]]
Leaving = Callable[[bool | Exception], None]


@value
class Row:
    """An event, encoded; `contents` are the large values that it names by reference."""

    seq: int
    kind: EventKind
    recorded_at: datetime
    data: bytes
    contents: tuple[Content, ...] = ()


@value
class View:
    """What lists show of a run: written at park and finish only."""

    status: str
    outcome: str | None
    waiting_for: str
    error: str | None
    usage: str
    updated_at: datetime
    ended_at: datetime | None
    data_class: int = 0
    attributes: Mapping[str, AttributeRow] = field(default_factory=fresh_dict)
    words: tuple[str, ...] = ()


@dataclass(slots=True)
class Entry:
    """What one run wants written, in order, all or nothing.

    Attributes:
        rows: events to append.
        drained: ids of the messages that these events took out of the inbox.
        laden: its events name artifacts, which are put on the disk before them.
        if_lost: called where they are fenced off, or their run is put aside before they are written.
        view: the projection to write.
        finish_gen: take the run out of the queue if its generation is still this.
        park: give the run up until then, if its generation is still this.
        yields: with `park`: it waits for a person, so its queue's slot may go back where the queue says so.
        journal_bytes: with `park`: the size of its whole journal.
        key: write only if the effects of this business key have this generation still (0 before the first undo).
        solo: a function that writes this entry in a transaction of its own instead.
        written: resolved to whether the finish or park took hold (true where neither was asked).
        leaves: called with the same, or with why it is not written: ten thousand runs may leave memory in a second,
            and a future for each of them costs what a small step does.
    """

    org_id: UUID
    run_id: UUID
    rows: list[Row] = field(default_factory=fresh_list)
    drained: list[UUID] = field(default_factory=fresh_list)
    laden: bool = False
    if_lost: list[Callable[[], None]] = field(default_factory=fresh_list)
    view: View | None = None
    finish_gen: int | None = None
    park: tuple[int, datetime] | None = None
    yields: bool = False
    journal_bytes: int | None = None
    key: tuple[str, int] | None = None
    solo: SoloWrite | None = None
    written: asyncio.Future[bool] | None = None
    leaves: Leaving | None = None

    @property
    def alone(self) -> bool:
        """Whether it takes the solo lane."""
        return self.laden or self.solo is not None


_RUN = attrgetter("run_id")


def columns_of(batch: Sequence[Entry]) -> store.Columns:
    """The rows of one append."""
    columns, pack = store.Columns(), PAYLOADS.pack
    # In the order of the keys, whole runs at a time: what is sorted already is sorted again at little cost.
    for entry in sorted(batch, key=_RUN):
        org_id, run_id = entry.org_id, entry.run_id
        columns.events += [(run_id, row.seq, row.kind, row.recorded_at, pack(row.data), org_id) for row in entry.rows]
        if entry.drained:
            columns.drained.extend((run_id, message_id) for message_id in entry.drained)
        if entry.view is not None:
            view = entry.view
            if columns.views and columns.views[-1][0] == run_id:
                del columns.views[-1]  # of two rows for one run an UPDATE takes the first
            columns.views.append(
                (
                    run_id,
                    view.status,
                    view.outcome,
                    view.waiting_for,
                    view.error,
                    view.usage,
                    view.updated_at,
                    view.ended_at,
                    view.data_class,
                )
            )
            for name, row in view.attributes.items():
                columns.attributes[run_id, name] = (org_id, run_id, name, *row)
            columns.words.update((org_id, run_id, word) for word in view.words)
        if entry.finish_gen is not None:
            columns.finished.append((run_id, entry.finish_gen))
        if entry.park is not None:
            columns.parked.append((run_id, *entry.park, entry.yields, entry.journal_bytes))
        if entry.key is not None:
            columns.keys.append((run_id, org_id, *entry.key))
    return columns


def resolved(entries: Iterable[Entry], result: store.Appended) -> None:
    """Tell whoever waits for an entry what became of it; those that leave memory with it once all are told."""
    left: deque[tuple[Leaving, bool]] = deque()
    for entry in entries:
        _resolve(entry, result, left)
    if left:
        asyncio.get_running_loop().call_soon(_tell, left)


def _tell(left: deque[tuple[Leaving, bool]]) -> None:
    try:
        while left:
            leaves, held = left.popleft()
            leaves(held)
    finally:
        if left:  # what one of them raises is the event loop's to report, and the others are told all the same
            asyncio.get_running_loop().call_soon(_tell, left)


def _resolve(entry: Entry, result: store.Appended, left: deque[tuple[Leaving, bool]]) -> None:
    leaves, entry.leaves, written = entry.leaves, None, entry.written
    if leaves is None and (written is None or written.done()):
        return
    held = True
    if entry.finish_gen is not None:
        held = entry.run_id in result.finished
    elif entry.park is not None:
        held = entry.run_id in result.parked
    if leaves is not None:
        left.append((leaves, held))
    if written is not None and not written.done():
        written.set_result(held)
