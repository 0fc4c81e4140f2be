"""What begins again in a group that goes on after its run's end, as effects in it stand or are in doubt.

The same rules as for the run's own steps, scope by scope: what ended badly or was undone is void, with the reviews that
permitted it and what was computed from it, unless an effect of that stands. The iterations in which something is void
are not over any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from signoff.core.errors import ConflictError
from signoff.core.fresh import fresh_dict, fresh_list, fresh_set
from signoff.runtime.past import Past
from signoff.runtime.paths import enclosing, fallback, is_undo, name_of, owner_of, prefix_of
from signoff.runtime.state import StepRecord
from signoff.workflows.model import LOOP_VERBS


@dataclass(slots=True)
class GoingOn:
    """What begins again in groups that go on; attributes as of `Reopening`.

    Attributes:
        reviews: paths of reviews that permitted what is void because it was undone.
    """

    void: dict[str, int] = field(default_factory=fresh_dict)
    again: list[str] = field(default_factory=fresh_list)
    instead: list[str] = field(default_factory=fresh_list)
    unturned: dict[str, list[int]] = field(default_factory=fresh_dict)
    reviews: set[str] = field(default_factory=fresh_set)

    def add(self, other: GoingOn) -> None:
        """Take in what begins again in another group."""
        self.void |= other.void
        self.again += other.again
        self.instead += other.instead
        self.unturned |= other.unturned
        self.reviews |= other.reviews


def going_on(past: Past, root: str) -> GoingOn:
    """What begins again in one of the run's own steps, which goes on.

    Raises:
        ConflictError: a turn of a loop would be another one, and effects of later turns stand.
    """
    found = GoingOn()
    records = sorted(
        (record for record in past.within(root) if not is_undo(record.path)), key=lambda record: record.path.count("/")
    )
    for record in records:
        _sort_out(past, record, found)
    for path in sorted(found.reviews):
        if "/" in path and not past.held(path):
            found.void |= dict(past.void_paths(path))
    _add_followers(past, records, found)
    _unturn(past, found)
    return found


def _sort_out(past: Past, record: StepRecord, found: GoingOn) -> None:
    path, step = record.path, past.definition(record.path)
    if step is None or record.in_doubt or path in found.void or record.state is None:
        return
    if not past.ended_badly(record) and not past.taken_back(path):
        return
    if not past.held(path):
        found.reviews |= past.permitted_by(path)
        found.void |= dict(past.void_paths(path))
    elif past.held_instead(path):
        found.instead.append(path)
    elif step.is_group:
        found.again.append(path)
        prefix = fallback(path)
        tried = [other for other in past.within(path) if other.path.startswith(prefix)]
        found.void |= {voided: again for other in tried for voided, again in past.void_paths(other.path)}


def _add_followers(past: Past, records: list[StepRecord], found: GoingOn) -> None:
    """What was decided or computed from what is void, in its scope."""
    scopes: dict[str, list[StepRecord]] = {}
    for record in records:
        scopes.setdefault(prefix_of(record.path), []).append(record)
    for prefix in {prefix_of(path) for path in found.void}:
        siblings = scopes.get(prefix, [])
        void = {name_of(record.path) for record in siblings if record.path in found.void}
        grown = True
        while grown:
            grown = False
            for record in siblings:
                if record.path not in found.void and _follows(past, record, void):
                    found.void |= dict(past.void_paths(record.path))
                    void.add(name_of(record.path))
                    grown = True


def _follows(past: Past, record: StepRecord, void: set[str]) -> bool:
    step = past.definition(record.path)
    if step is None or record.state is None or record.state.status == "bypassed" or past.held(record.path):
        return False
    return bool(step.waits_for & void)


def _unturn(past: Past, found: GoingOn) -> None:
    """The iterations that are not over any more: of a loop also all that came after the first of them."""
    turns: dict[str, set[int]] = {}
    for path in [*found.void, *found.again, *found.instead]:
        for owner, index in enclosing(path):
            if index is not None and owner not in found.void:
                turns.setdefault(owner, set()).add(index)
    for owner, indexes in turns.items():
        step, record = past.definition(owner), past.state.steps[owner]
        if step is not None and step.verb in LOOP_VERBS:
            later = list(_turns_after(past, owner, min(indexes)))
            held = [other.path for other in later if past.held(other.path)]
            if held:
                detail = f"A turn of '{owner}' would be another one, but '{held[0]}' came of it, and that stands."
                raise ConflictError(detail, step=held[0])
            found.void |= {path: again for other in later for path, again in past.void_paths(other.path)}
            indexes |= {index for index in record.turns if index > min(indexes)}
        over = sorted(index for index in indexes if index in record.turns)
        if over:
            found.unturned[owner] = over


def _turns_after(past: Past, loop: str, first: int) -> Iterator[StepRecord]:
    """The steps right inside the turns of a loop that came after one."""
    for record in past.within(loop):
        prefix = prefix_of(record.path)
        if prefix and not is_undo(record.path):
            owner, index = owner_of(prefix)
            if owner == loop and index is not None and index > first:
                yield record
