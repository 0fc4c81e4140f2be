"""What holds after any schedule, whatever befell it."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import orjson
from tests.simulation.journals import events_of
from tests.simulation.world import BrokenError, Simulation

from signoff.runtime.events import Event
from signoff.runtime.state import RunState, fold
from signoff.runtime.views import view_of


def check(simulation: Simulation) -> None:
    """Return where all holds.

    Raises:
        BrokenError: something does not.
    """
    if simulation.unequal:
        raise BrokenError(f"a worker's state was not the fold of the journal: {simulation.unequal[0]}")
    for run_id in simulation.runs:
        events = events_of(simulation.store, run_id)
        try:
            _check_run(simulation, run_id, events, fold(events))
        except BrokenError as error:
            story = "\n".join(f"{event.recorded_at:%X.%f} {event.seq} {event.kind} {event.data}" for event in events)
            raise BrokenError(f"{error}\n{story}") from error
    for approval, keys in simulation.world.approvals_used.items():
        _holds(len(keys) == 1, f"approval {approval} permitted {sorted(keys)}")
    _holds(not simulation.world.open_reviews, f"reviews are open of runs that ended: {simulation.world.open_reviews}")


def _check_run(simulation: Simulation, run_id: UUID, events: list[Event], state: RunState) -> None:
    store = simulation.store
    _holds([event.seq for event in events] == list(range(1, len(events) + 1)), "the journal has a gap")
    _holds(state.end is not None, "the run has not ended")
    _holds(run_id not in store.queue, "an ended run is in the queue")
    lost = simulation.accepted.get(run_id, set()) - state.messages
    _holds(not lost, f"messages were accepted and never taken: {lost}")
    _holds(not any(row["run_id"] == run_id for row in store.inbox.values()), "an ended run's inbox is not empty")
    _check_projection(simulation, run_id, state)
    ends = Counter(event.data["step"] for event in events if event.kind == "step.ended")
    _holds(set(ends.values()) <= {1}, f"steps ended more than once: {ends}")
    _check_effects(simulation, state)
    _check_compensations(simulation, events, state)


def _check_projection(simulation: Simulation, run_id: UUID, state: RunState) -> None:
    row = simulation.store.views[run_id]
    view = view_of(state, row["updated_at"])
    for name in ("status", "outcome", "error", "ended_at"):
        _holds(row[name] == getattr(view, name), f"lists show {name} {row[name]}, the journal says {view}")
    _holds(orjson.loads(row["waiting_for"]) == [], "an ended run is shown to wait")


def _check_effects(simulation: Simulation, state: RunState) -> None:
    """Every effect that was intended came to one end, and happened as often as that end says."""
    for record in state.steps.values():
        if record.key is None:
            continue
        happened = simulation.world.performed[record.key]
        _holds(record.state is not None, f"{record.path} was intended and has no outcome")
        assert record.state is not None
        _holds(happened <= 1, f"{record.path} happened {happened} times")
        done = record.state.status == "done" and record.via is None
        _holds(done == (happened == 1), f"{record.path} ended as {record.state.status}, and happened {happened} times")


def _check_compensations(simulation: Simulation, events: list[Event], state: RunState) -> None:
    """What was done is undone in the reverse order, where the run did not end well; else nothing is."""
    assert state.end is not None
    ended = [event.data for event in events if event.kind == "step.ended"]
    done = [
        data["step"]
        for data in ended
        if data["status"] == "done" and not data["step"].endswith("/undo") and state.steps[data["step"]].via is None
    ]
    undoable = [path for path in done if _undoable(simulation, path)]
    undone = [data["step"].removesuffix("/undo") for data in ended if data["step"].endswith("/undo")]
    expected = [] if state.end["status"] == "done" else undoable[::-1]
    _holds(undone == expected, f"undone were {undone}, done {undoable}")


def _undoable(simulation: Simulation, path: str) -> bool:
    top, _, inner = path.partition("/")
    step = simulation.schedule.steps[int(top.partition("[")[0].removeprefix("s").removesuffix("_ok"))]
    group = step.kind in ("for", "repeat", "do")
    return not top.endswith("_ok") and step.effect in ("lookup", "resend") and inner == ("e" if group else "")


def _holds(holds: bool, what: str) -> None:
    if not holds:
        raise BrokenError(what)
