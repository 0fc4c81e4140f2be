"""What holds after any schedule of the whole engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from tests.simulation.engine_schedule import CHILD
from tests.simulation.engine_services import index_of
from tests.simulation.engine_world import EngineSimulation
from tests.simulation.journals import events_of
from tests.simulation.world import BrokenError

from signoff.core.durations import parse_duration_s
from signoff.runtime.events import Event
from signoff.runtime.state import RunState, fold
from signoff.runtime.views import view_of

UNDO = "/undo"


class Ended:
    """A run that has ended: its journal, and what it folds to."""

    def __init__(self, run_id: UUID, events: list[Event]) -> None:
        self.run_id = run_id
        self.events = events
        self.state: RunState = fold(events)

    @property
    def status(self) -> str:
        """How it ended."""
        assert self.state.end is not None
        return str(self.state.end["status"])

    @property
    def reopened(self) -> bool:
        """Whether it went on after an end."""
        return any(event.kind == "run.reopened" for event in self.events)

    @property
    def of_child(self) -> bool:
        """Whether it is one that was called."""
        return self.state.started["workflow"] == CHILD

    def ends(self) -> list[Mapping[str, Any]]:
        """The ends of its steps, in order."""
        return [event.data for event in self.events if event.kind == "step.ended"]

    def story(self) -> str:
        """Its journal, to be read."""
        return "\n".join(f"{one.recorded_at:%X.%f} {one.seq} {one.kind} {one.data}" for one in self.events)


def check(simulation: EngineSimulation) -> None:
    """Return where all holds.

    Raises:
        BrokenError: something does not.
    """
    _holds(not simulation.unequal, f"a worker's state was not the fold of the journal: {simulation.unequal[:1]}")
    _holds(not simulation.over, f"the queue lets {simulation.plan.at_once} run at once: {simulation.over[:1]}")
    runs = {run_id: Ended(run_id, events_of(simulation.server, run_id)) for run_id in simulation.server.views}
    for run in runs.values():
        try:
            _check_run(simulation, run)
            _check_effects(simulation, run)
            _check_undone(simulation, run)
            _check_waits(simulation, run)
            _check_calls(run, runs)
        except BrokenError as error:
            raise BrokenError(f"run {run.run_id}: {error}\n{run.story()}") from error
    _check_called_once(runs)
    _check_messages(simulation, runs)
    for approval, keys in simulation.world.approvals_used.items():
        _holds(len(keys) == 1, f"approval {approval} permitted {sorted(keys)}")
    _holds(not simulation.world.open_reviews, f"reviews are open of runs that ended: {simulation.world.open_reviews}")


def _check_run(simulation: EngineSimulation, run: Ended) -> None:
    server, state = simulation.server, run.state
    _holds([event.seq for event in run.events] == list(range(1, len(run.events) + 1)), "the journal has a gap")
    _holds(state.end is not None, "the run has not ended")
    _holds(run.run_id not in server.queue, "an ended run is in the queue")
    _holds(all(row["run_id"] != run.run_id for row in server.inbox.values()), "an ended run's inbox is not empty")
    _holds(not any(event.kind == "run.stuck" for event in run.events), "the run was stuck")
    row = server.views[run.run_id]
    view = view_of(state, row["updated_at"])
    for name in ("status", "outcome", "ended_at"):
        _holds(row[name] == getattr(view, name), f"lists show {name} {row[name]}, the journal says {view}")
    for name in ("error", "waiting_for", "usage"):
        shown, meant = (None if one is None else orjson.loads(one) for one in (row[name], getattr(view, name)))
        _holds(shown == meant, f"lists show {name} {shown}, the journal says {meant}")
    ends = Counter(data["step"] for data in run.ends())
    _holds(run.reopened or set(ends.values()) <= {1}, f"steps ended more than once: {ends}")


def _check_effects(simulation: EngineSimulation, run: Ended) -> None:
    """Every effect that was intended came to one end, and happened as often as that end says."""
    for record in run.state.steps.values():
        if record.key is None:
            continue
        happened = simulation.world.performed[record.key]
        _holds(happened <= 1, f"{record.path} happened {happened} times")
        if run.status == "terminated":
            continue  # what is in doubt stays so: its end names it
        _holds(record.state is not None, f"{record.path} was intended and has no outcome")
        assert record.state is not None
        done = record.state.status == "done" and record.via is None
        told = f"{record.path} ended as {record.state.status}, and happened {happened} times"
        _holds(not done or happened == 1, told)
        _holds(done or happened == 0 or simulation.plan.loses_commits, told)


def _check_undone(simulation: EngineSimulation, run: Ended) -> None:
    """What stands is what the run's end says: all of a run that is done, nothing of one that was undone."""
    if run.status == "terminated" or simulation.plan.loses_commits:
        return
    performed = simulation.world.performed
    intents = [event.data for event in run.events if event.kind == "effect.intended"]
    for key, path in {data["key"]: data["step"] for data in intents}.items():
        if path.endswith(UNDO) or not _undoable(simulation, run, path):
            continue
        record = run.state.steps.get(path)
        stands = run.status == "done" and record is not None and record.key == key and _done(record)
        left = performed[key] - performed[f"undo/{key}"]
        _holds(left == stands, f"{path} happened {performed[key]} times, was undone {performed[f'undo/{key}']} times")
    if run.reopened:
        return
    done = [
        data["step"]
        for data in run.ends()
        if not data["step"].endswith(UNDO)
        and _undoable(simulation, run, data["step"])
        and _done(run.state.steps[data["step"]])
    ]
    undone = [data["step"].removesuffix(UNDO) for data in run.ends() if data["step"].endswith(UNDO)]
    expected = [] if run.status == "done" else done[::-1]
    _holds(undone == expected, f"undone were {undone}, done {done}")


def _done(record: Any) -> bool:
    return record.state is not None and record.state.status == "done" and record.via is None


def _undoable(simulation: EngineSimulation, run: Ended, path: str) -> bool:
    if run.of_child:
        return path == "c0"
    name = path.rpartition("/")[2]
    if name.endswith("_ok") or not (name == "e" or name[:1] == "s"):
        return False
    step = simulation.schedule.steps[index_of(path)]
    group = step.kind in ("for", "repeat", "do") and not simulation.plan.python
    inner = name == "e" if group else ("_" in name) == (step.kind == "for")
    return step.effect in ("lookup", "resend") and inner


def _check_waits(simulation: EngineSimulation, run: Ended) -> None:
    """No wait is over before its moment; none for an event runs out of time although its event had come."""
    if run.of_child or run.reopened or simulation.plan.loses_commits:
        return
    number = run.state.started["input"]["n"]
    for path, record in run.state.steps.items():
        if record.state is None or path.endswith(UNDO) or "_" in path:
            continue
        if record.ended_seq == 1:
            continue  # it ended in the run whose loop this one goes on with, and is looked at there
        step = simulation.schedule.steps[index_of(path)]
        late = record.state.result == "timed_out" or (record.error or {}).get("kind") == "timeout"
        if step.kind == "event" and late:
            closed_s = simulation.closed[run.run_id, path]
            came = [s for whom, which, s in simulation.posted if (whom, which) == (number, str(index_of(path)))]
            _holds(
                all(at_s >= closed_s for at_s in came), f"{path} timed out at {closed_s} s; its event came at {came}"
            )
        if step.kind in ("pause", "until") and record.state.status == "done" and simulation.plan.true_clocks:
            _check_moment(run, path, step.kind, step.inner)


def _check_moment(run: Ended, path: str, kind: str, form: str) -> None:
    record = run.state.steps[path]
    assert record.tried_at is not None
    assert record.ended_at is not None
    if kind == "pause":
        _holds((record.ended_at - record.tried_at).total_seconds() >= parse_duration_s(form), f"{path} was too short")
    else:
        until = datetime.fromisoformat(run.state.started["input"][form])
        _holds(record.ended_at >= until, f"{path} was over before {until}")


def _check_calls(run: Ended, runs: Mapping[UUID, Ended]) -> None:
    """What a step says of the run that it called is what that run says of itself."""
    for path, record in run.state.steps.items():
        told = None if record.state is None else record.state.output.get("run_id")
        if record.state is None or record.state.status != "done" or told is None or run.of_child:
            continue
        _holds(UUID(told) in runs, f"{path} called a run that is not there")
        child = runs[UUID(told)]
        _holds(child.state.started["parent"]["path"] == path, f"{path} was told of another step's run")
        if "outcome" in record.state.output and not child.reopened:
            _holds((child.status, "ok") == ("done", record.state.output["outcome"]), f"{path} was told another end")


def _check_called_once(runs: Mapping[UUID, Ended]) -> None:
    parents = [run.state.started["parent"] for run in runs.values() if "parent" in run.state.started]
    calls = Counter((parent["run_id"], parent["path"], parent["attempt"]) for parent in parents)
    _holds(set(calls.values()) <= {1}, f"one try started several runs: {calls}")


def _check_messages(simulation: EngineSimulation, runs: Mapping[UUID, Ended]) -> None:
    """Every message that was accepted is in the journal of its run, or of the one that goes on for it."""
    if simulation.plan.loses_commits:
        return
    taken = {message for run in runs.values() for message in run.state.messages}
    for run_id, accepted in simulation.accepted.items():
        _holds(not accepted - taken, f"messages to {run_id} were accepted and never taken: {accepted - taken}")


def _holds(holds: bool, what: str) -> None:
    if not holds:
        raise BrokenError(what)
