"""Start a new run with the past of another one, up to any event: under another release, or with other input.

Its journal begins with a copy of that past. Approvals in it are void, and so is what was under way, what the other
release says otherwise, and what came from the input where that is another one: those steps run again. Effects are dry
unless asked for otherwise: nothing is sent, and a step gives what was recorded in the run that it was forked from, or a
sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, LimitError, NotFoundError
from signoff.core.ids import digest, uuid7
from signoff.foundation.database import Connection
from signoff.runtime.artifacts import share
from signoff.runtime.client import store
from signoff.runtime.client.beginning import Beginning, begin
from signoff.runtime.client.comparing import changes, find_step, reads_input
from signoff.runtime.client.history import state_of, whole_events
from signoff.runtime.client.model import JournalEvent, RunStarted, StartRequest
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.events import encode
from signoff.runtime.past import LASTING, root_of
from signoff.runtime.state import RunState
from signoff.workflows.model import Step, Workflow, every_step

FORK_BYTES = 1_048_576
"""What the first event of a fork may hold: its input, and recorded answers of effects."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork to make.

    Attributes:
        source: the run whose past it has.
        at: the last event of that past; none means all of it.
        workflow: what it executes, of the release below.
        old: what the source executes; none where that cannot be had, and then nothing is compared.
        release: the digest that it pins.
        input: none means the source's.
        actor: who forks it, and for whom it acts.
        live: its effects are real.
        samples: per step, what its tool could answer, where nothing was recorded.
        reason: why.
        decision: the policy decision that allowed it.
        key: the same key makes it once.
    """

    source: UUID
    at: int | None
    workflow: Workflow
    old: Workflow | None
    release: str
    input: Mapping[str, Any] | None
    actor: Actor
    live: bool = False
    samples: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reason: str = ""
    decision: Mapping[str, Any] | None = None
    key: str | None = None
    project: str = ""


async def fork(connection: Connection, asked: Fork, *, now: datetime) -> RunStarted:
    """Make the fork, in the caller's transaction.

    Raises:
        NotFoundError: no such run, or its journal is not that long.
        ConflictError: its effects would be real, and it is in Python: all its code runs again, effects included. Or
            retention took the source meanwhile.
        LimitError: input and recorded answers are too large together.
    """
    actor, source = asked.actor, asked.source
    if asked.live and asked.workflow.python is not None:
        raise ConflictError(
            "A fork of a workflow in Python runs its code again from the start, so its effects would happen once more."
            " Fork it with dry effects, or start a new run."
        )
    whole = await whole_events(connection, actor.org_id, source)
    at = len(whole) if asked.at is None else asked.at
    if not 0 < at <= len(whole):
        raise NotFoundError(f"The journal of run {source} has no event {at}; it has {len(whole)}.")
    past = state_of(whole[:at])
    run_id = uuid7(time_ms=int(now.timestamp() * 1000))
    beginning = _beginning(asked, past, whole, at=at, run_id=run_id, now=now)
    if not await begin(connection, beginning, now=now):
        row = await connection.fetchrow(store.BY_KEY, actor.org_id, beginning.idempotency_key)
        assert row is not None
        return RunStarted(row["run_id"], created=False)
    await share(connection, actor.org_id, source, run_id)
    continued: Mapping[str, Any] = past.started.get("continued_from") or {}
    first = continued.get("chain_id", source)
    await connection.execute(store.COPY_VAULT, actor.org_id, UUID(str(first)), run_id)
    copied = await connection.execute(store.COPY_JOURNAL, actor.org_id, source, run_id, at)
    if copied != f"INSERT 0 {at - 1}":  # nothing of the fork is kept: whoever calls rolls back
        raise ConflictError(
            f"Run {source} was removed by retention while it was being forked. What it was is in its archive, if its"
            " project has one."
        )
    seq = at
    for kind, data in _after(asked, past, whole[0]):
        seq += 1
        await connection.execute(store.APPEND_EVENT, actor.org_id, run_id, seq, kind, now, PAYLOADS.pack(encode(data)))
    return RunStarted(run_id, created=True)


def _beginning(
    asked: Fork, past: RunState, whole: list[JournalEvent], *, at: int, run_id: UUID, now: datetime
) -> Beginning:
    given = past.started["input"] if asked.input is None else asked.input
    request = StartRequest(asked.workflow, asked.release, given, asked.actor, project=asked.project)
    request = replace(
        request,
        decision=asked.decision,
        idempotency_key=None if asked.key is None else f"fork/{asked.source}/{asked.key}",
    )
    beginning = Beginning.of(request, run_id, digest(f"fork/{asked.source}/{at}".encode()), now=now)
    started = {**beginning.started, "forked_from": {"run_id": str(asked.source), "seq": at, "reason": asked.reason}}
    before = past.started.get("continued_from")
    if before is not None:  # the ends of its first steps are there, and nowhere else; events are counted for it alone
        started["continued_from"] = {**before, "chain_id": str(run_id), "chain_started_at": now}
    if not asked.live:
        recorded = _recorded(state_of(whole), asked.old or asked.workflow)
        started |= {"dry": True, "recorded": recorded, "samples": asked.samples}
    size_bytes = len(encode(started))
    if size_bytes > FORK_BYTES:
        detail = f"input and recorded answers have {size_bytes} bytes together; {FORK_BYTES} are allowed"
        raise LimitError(detail, size_bytes=size_bytes)
    return replace(beginning, started=started)


def _recorded(state: RunState, workflow: Workflow) -> dict[str, Any]:
    """What the source's effects answered, by path."""
    found: dict[str, Any] = {}
    for path, record in state.steps.items():
        if record.state is None or record.state.status != "done":
            continue
        step = find_step(workflow, path)
        if record.key is not None or (step is not None and step.verb in LASTING):
            found[path] = {"output": record.state.output, "labels": record.state.labels.as_dict()}
    return found


def _after(asked: Fork, past: RunState, first: JournalEvent) -> list[tuple[str, Mapping[str, Any]]]:
    said = {"by": str(asked.actor), "reason": asked.reason}
    events: list[tuple[str, Mapping[str, Any]]] = []
    if past.operated.release is not None:  # the past says that it was moved; it has the fork's release all the same
        workflow = asked.workflow
        target = {"release": asked.release, "version": workflow.version, "workflow_digest": workflow.digest}
        events.append(("run.migrated", {**said, **target, "from": dict(past.operated.release), "differs": []}))
    other_input = asked.input is not None and asked.input != first.data["input"]
    void = void_in_fork(asked.workflow, asked.old, past, other_input=other_input)
    events.append(("run.reopened", {**said, "void": dict.fromkeys(void, 0), "again": [], "from": None}))
    return events


def void_in_fork(workflow: Workflow, old: Workflow | None, past: RunState, *, other_input: bool) -> list[str]:
    """The paths of the past that do not hold for the fork."""
    steps = {step.name: step for step in workflow.steps}
    roots = {root_of(path) for path in past.steps}
    void = {
        name
        for name in roots
        if name not in steps
        or _unsettled(past, name)
        or any(inner.verb == "review" for inner in every_step([steps[name]]))
        or (other_input and reads_input(steps[name]))
        or _changed(old, steps[name])
    }
    grown = True
    while grown:
        followers = {name for name in roots - void if steps[name].waits_for & void}
        void |= followers
        grown = bool(followers)
    return [path for path in past.steps if root_of(path) in void]


def _unsettled(past: RunState, name: str) -> bool:
    """Whether it was under way, had ended badly, or was undone."""
    ended = past.ended.get(name)
    records = [record for path, record in past.steps.items() if root_of(path) == name]
    if ended is None or any(record.path.endswith("/undo") for record in records):
        return True
    return ended.status == "cancelled" or (ended.status == "failed" and not past.steps[name].caught)


def _changed(old: Workflow | None, step: Step) -> bool:
    before = None if old is None else next((other for other in old.steps if other.name == step.name), None)
    if before is None:
        return old is not None
    inner_before = {inner.name: inner for inner in every_step([before])}
    inner_after = {inner.name: inner for inner in every_step([step])}
    if inner_before.keys() != inner_after.keys():
        return True
    return any(changes(inner_before[name], inner_after[name]) for name in inner_after)
