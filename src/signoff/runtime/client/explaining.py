"""Why a run is where it is, in plain words: what it waits for, who can end that, and with which command.

A pure function of what the database says of the run; the words are for people who have never read a journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from signoff.foundation.database import Connection
from signoff.runtime.client import store
from signoff.runtime.client.beginning import Beginning
from signoff.runtime.client.explaining_starts import (
    COUNTED,
    Debounced,
    Standing,
    Use,
    debounced_text,
    gate_text,
    late_text,
    span,
    worker_text,
)
from signoff.runtime.client.explaining_steps import StepTeller, is_for_a_person
from signoff.runtime.client.explaining_stuck import NOTHING_LOST, stuck_reason
from signoff.runtime.client.explanations import NO_WORKER, WHY, Explanation, Place, Reason, command
from signoff.runtime.client.model import RunSummary
from signoff.runtime.client.origins import origin_of, origin_text
from signoff.runtime.queues import Queue
from signoff.runtime.state import RunState, StepRecord

MOST_REASONS = 50
"""So many steps are told of; `runs show` has them all."""


async def read_place(connection: Connection, org_id: UUID, run_id: UUID) -> Place | None:
    """Where a run is in the queue; none where it has ended."""
    row = await connection.fetchrow(store.PLACE, org_id, run_id, COUNTED)
    if row is None:
        return None
    place = Place(**dict(row.items()))
    if place.gate is None or place.queue is None:
        return place
    standing = await connection.fetchrow(store.STANDING, org_id, place.queue, COUNTED)
    if standing is None:
        return place
    uses = await connection.fetch(store.USES, org_id, place.queue, place.team, place.queue_key or "")
    use = {row["scope"]: Use(row["slots"], row["tokens"], row["filled_at"]) for row in uses}
    found = Standing(
        Queue.from_limits(place.queue, orjson.loads(standing["limits"])),
        whole=use["queue"],
        team=use["team"],
        key=use["key"],
        teams=standing["teams"],
        paused_by=standing["paused_by"],
        paused_reason=standing["paused_reason"],
    )
    return replace(place, standing=found)


async def read_debounced(connection: Connection, org_id: UUID, run_id: UUID) -> tuple[Debounced, Beginning] | None:
    """The start that waits until its key is quiet and will be that run, with what it begins with."""
    row = await connection.fetchrow(store.DEBOUNCED, org_id, run_id)
    if row is None:
        return None
    told = Debounced(row["key"], row["first_at"], row["due_at"], row["starts"])
    return told, Beginning.read(row["request"], run_id, org_id)


def explain_debounced(run_id: UUID, found: Debounced, now: datetime) -> Explanation:
    """Why a debounced start is no run yet."""
    reason = Reason(debounced_text(found, now), since=found.first_at, until=found.due_at, who="the moment, by itself")
    return Explanation(run_id, "queued", "It waits until its key is quiet.", (reason,))


def explain(run: RunSummary, state: RunState, place: Place | None, now: datetime) -> Explanation:
    """Why the run is where it is; of a run that is `stuck`, see `explain_stuck`.

    Args:
        run: as lists show it.
        state: as its journal describes it.
        place: in the queue; none where it has ended.
        now: the moment of asking.
    """
    teller = _Teller(run.run_id, state, place, now)
    if state.end is not None and place is None:
        summary, reasons = teller.ended(state.end)
    elif state.operated.paused is not None:
        summary, reasons = teller.paused(state.operated.paused)
    elif place is not None and place.host is None and place.gate is not None:
        summary, reasons = teller.gated(place)
    elif state.end is not None:
        summary, reasons = "It ended, and is asked to go on.", teller.no_worker()
    elif place is not None and place.host is None and not state.steps and state.unwinding is None:
        summary, reasons = teller.queued(place)
    elif state.unwinding is not None:
        summary, reasons = teller.unwinding(state.unwinding)
    else:
        summary, reasons = teller.under_way()
    return Explanation(run.run_id, run.status, summary, (*reasons, *teller.asked(), *teller.came_from()))


def explain_stuck(run: RunSummary, place: Place | None) -> Explanation:
    """Why the run cannot be loaded. Its journal, which may be what cannot be read, is not needed for that."""
    reasons = [stuck_reason(str(run.run_id), run.error or {})]
    if place is not None and place.workers == 0:
        reasons.append(NO_WORKER)
    summary = f"It cannot be loaded, and is set aside until somebody mends that. {NOTHING_LOST}"
    return Explanation(run.run_id, run.status, summary, tuple(reasons))


class _Teller:
    def __init__(self, run_id: UUID, state: RunState, place: Place | None, now: datetime) -> None:
        self._run = str(run_id)
        self._state = state
        self._place = place
        self._now = now
        self._steps = StepTeller(self._run, state, now, None if place is None else place.host_since)

    def _command(self, *words: str) -> str:
        return command(self._run, *words)

    def _ago(self, moment: datetime | None) -> str:
        return "" if moment is None else f"{span((self._now - moment).total_seconds())} ago"

    def _in(self, moment: datetime) -> str:
        left_s = (moment - self._now).total_seconds()
        return f"in {span(left_s)}" if left_s > 0 else "now"

    # --- by status ---------------------------------------------------------------------------------------------

    def ended(self, end: Mapping[str, Any]) -> tuple[str, tuple[Reason, ...]]:
        status = end["status"]
        error: Mapping[str, Any] = end.get("error") or {}
        again = (self._command("retry", "--reason", "'…'"),)
        when = self._ago(self._state.ended_at)
        if status == "done":
            goes_on = () if self._state.continued is None else (self._continued(self._state.continued),)
            return f"It ended {when} with the outcome '{end['outcome']}'.", goes_on
        if status == "failed":
            where = f" at step '{error['step']}'" if error.get("step") else ""
            kind = str(error.get("kind", "error"))
            text = f"{kind}: {str(error.get('detail', '')).rstrip('.')}.{_HINTS.get(kind, '')}"
            who = "once that is mended, somebody who may 'run.retry'"
            reason = Reason(text, error.get("step", ""), who=who, commands=again)
            return f"It failed {when}{where}.", (reason, *self._undone())
        by = f" by {error['by']}" if error.get("by") else ""
        because = f": {error['detail']}" if error.get("detail") else ""
        reasons = [*self._undone()]
        for left in end.get("in_doubt", ()):
            text = f"Nobody knows whether '{left['step']}' took effect (key {left['key']})."
            reasons.append(Reason(text, left["step"]))
        if standing := end.get("effects") or error.get("effects"):
            reasons.append(Reason(f"Not undone, these took effect: {', '.join(standing)}."))
        reasons.append(Reason("It can go on.", who="somebody who may 'run.retry'", commands=again))
        return f"It was {status}{by} {when}{because}.", tuple(reasons)

    @staticmethod
    def _continued(data: Mapping[str, Any]) -> Reason:
        return Reason(f"It goes on as run {data['run_id']}.", commands=(f"signoff runs explain {data['run_id']}",))

    def _undone(self) -> list[Reason]:
        def names(status: str) -> str:
            undos = self._state.steps.items()
            return ", ".join(
                path.removesuffix("/undo") for path, undo in undos if path.endswith("/undo") and _ended(undo, status)
            )

        told = (("Undone", names("done")), ("Not undone, as somebody decided", names("bypassed")))
        return [Reason(f"{what}: {found}.") for what, found in told if found]

    def paused(self, said: Mapping[str, Any]) -> tuple[str, tuple[Reason, ...]]:
        because = f": {said['reason']}" if said.get("reason") else ""
        since = self._state.operated.paused_at
        go_on = Reason(
            "Nothing begins until it is resumed; decisions and messages are kept for it.",
            since=since,
            who="somebody who may 'run.pause'",
            commands=(self._command("resume"),),
        )
        return f"{said['by']} paused it {self._ago(since)}{because}.", (go_on, *self._told())

    def queued(self, place: Place) -> tuple[str, tuple[Reason, ...]]:
        if place.not_before is not None and place.not_before > self._now:
            delayed = Reason(
                "It was started with a delay. Messages do not make it begin earlier; a cancellation ends it at once.",
                until=place.not_before,
                who="the moment, by itself",
                commands=(self._command("cancel", *WHY),),
            )
            return f"It is delayed and begins {self._in(place.not_before)}.", (delayed,)
        if place.workers == 0:
            return "It waits for a worker, and no worker is alive.", (NO_WORKER,)
        text = worker_text(
            workers=place.workers,
            priority=place.priority,
            team=place.team,
            ahead=place.ahead,
            due_at=place.due_at,
            now=self._now,
        )
        who = "a worker, by itself; or somebody who may 'run.prioritise'"
        return "It waits until a worker has room.", (Reason(text, who=who, commands=(self._command("priority", "1"),)),)

    def gated(self, place: Place) -> tuple[str, tuple[Reason, ...]]:
        """What waits at its queue's gate: a run that is new, that goes on after a wait, or that was retried."""
        return "It waits for its turn in a queue.", (self._at_gate(place), *self.no_worker())

    def _at_gate(self, place: Place) -> Reason:
        assert place.gate is not None
        project, _, name = (place.queue or "").partition("/")[2].partition("/")
        shown = f"signoff queues show {project}/{name}"
        first = self._command("priority", "1")
        standing = place.standing or Standing(Queue(name))
        text, until = gate_text(
            standing,
            name=name,
            gate=place.gate,
            key=place.queue_key,
            team=place.team,
            ahead=place.ahead,
            now=self._now,
        )
        if standing.paused_by is not None:
            who = "somebody who may 'queue.operate'"
            return Reason(text, who=who, commands=(f"signoff queues resume {project}/{name}", shown))
        who = "the moment, by itself" if until else "a run of the queue that ends"
        return Reason(text, until=until, who=f"{who}; or somebody who may 'run.prioritise'", commands=(first, shown))

    def unwinding(self, data: Mapping[str, Any]) -> tuple[str, tuple[Reason, ...]]:
        error = data["error"]
        why = {"failed": "It failed", "cancelled": "It was cancelled"}.get(data["cause"], "It is being ended at once")
        detail = str(error.get("detail") or "").rstrip(".")
        where = f" at step '{error['step']}'" if error.get("step") else ""
        because = f": {detail}" if detail else ""
        goes_on = "What is under way settles, and effects are undone."
        if data["cause"] == "terminated":
            goes_on = "What is under way is cut off; nothing is undone."
        elif any(is_for_a_person(record) for record in self._state.steps.values()):
            goes_on = "What it did is being taken back, and a person has to help with that."
        return f"{why}{where}{because}. {goes_on}", self._told()

    def under_way(self) -> tuple[str, tuple[Reason, ...]]:
        waits, acting = self._steps.waits(), self._steps.acts()
        place, told = self._place, self._told()
        if acting:
            names = ", ".join(f"'{reason.step}'" for reason in acting[:_NAMED])
            names += f" and {len(acting) - _NAMED} more" if len(acting) > _NAMED else ""
            if place is not None and place.host is not None:
                at = f"worker {place.host}, process {place.process_id}"
                if (silent := self._silent(place)) is not None:
                    return f"{names}: under way at {at}, {silent}.", (*self.no_worker(), *told)
                return f"{names}: under way at {at}.", told
            return f"{names}: under way, and waits for a worker to go on.", (*self.no_worker(), *told)
        if len(waits) == 1:
            return f"It waits at step '{waits[0].step}'.", told
        if waits:
            return f"It waits for {len(waits)} things.", told
        return "It goes on as soon as a worker looks at it.", self.no_worker()

    def _silent(self, place: Place) -> str | None:
        """What is said of a worker that has the run and gives no sign of life any more."""
        until = place.host_until
        if until is None or until > self._now:
            return None
        return f"which died or was cut off (its lease was over {self._ago(until)}); another worker takes the run over"

    def _told(self) -> tuple[Reason, ...]:
        """What its steps wait for and do, the waits first, and how many more there are."""
        found = (*self._steps.waits(), *self._steps.acts())
        if len(found) <= MOST_REASONS:
            return found
        more = Reason(
            f"{len(found) - MOST_REASONS} more steps wait or are under way.", commands=(self._command("show"),)
        )
        return *found[:MOST_REASONS], more

    def no_worker(self) -> tuple[Reason, ...]:
        """That nothing runs, where no worker is alive."""
        return (NO_WORKER,) if self._place is not None and self._place.workers == 0 else ()

    def asked(self) -> tuple[Reason, ...]:
        """What was sent and not taken yet."""
        if self._place is None or self._place.messages == 0:
            return ()
        count = "One message waits" if self._place.messages == 1 else f"{self._place.messages} messages wait"
        free = self._place.host is None and self._place.gate is None and self._place.workers > 0
        late = late_text(self._place.due_at, self._now) if free else ""
        return (Reason(f"{count} until a worker takes the run up.{late}"),)

    def came_from(self) -> tuple[Reason, ...]:
        """Which run it came from, as a fork that acts dry looks like any other."""
        origin = origin_of(self._state.started)
        return (
            ()
            if origin is None
            else (Reason(origin_text(origin), commands=(f"signoff runs explain {origin['run_id']}",)),)
        )


def _ended(record: StepRecord, status: str) -> bool:
    return record.state is not None and record.state.status == status


_NAMED = 5
"""So many steps are named in one sentence."""
_HINTS: Mapping[str, str] = {
    "time_limit": " Its time is what 'limits.time' of the workflow says; after a retry it counts anew.",
    "history_limit": " How many events a run may have is what 'limits.events' of the workflow says: start it anew under"
    " a release that gives more, or whose loop has 'renew'.",
    "forbidden": " 'signoff runs journal' has the decision of policy; what no policy permits is forbidden.",
    "no_outcome": " No outcome of the workflow is true of what its steps came to.",
    "budget": " What its models may cost is what 'limits.cost' of the workflow and the budgets of its team say.",
    "breaker_open": " 'signoff breakers' shows which tool or model fails.",
    "approval_outdated": " A person has to approve what the new release would do: a retry asks again.",
}
"""What a person may not know of a failure of the run itself, by its kind."""
