"""What begins again when a run goes on after its end: which steps are void, and which groups go on where they were."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.engine import HEAD, OBJECT
from support.python_workflows import python_workflow

from signoff.core.errors import ConflictError
from signoff.runtime.events import Event
from signoff.runtime.handlers import Waiting
from signoff.runtime.reopening import reopening
from signoff.runtime.state import RunState
from signoff.workflows import compile_workflow
from signoff.workflows.model import Contract, Contracts, Workflow

AT = datetime(2026, 1, 1, tzinfo=UTC)
CONTRACTS = Contracts(
    tools={name: Contract(OBJECT, OBJECT, True) for name in ("bank.pay", "bank.back", "shop.book")}
    | {"shop.get": Contract(OBJECT, OBJECT)},
    workflows={"test/child": Contract(OBJECT, OBJECT, outcomes=("acted",))},
)


def compiled(steps: str) -> Workflow:
    body = f"steps:\n{steps}outcome: {{over: 'true'}}\n"
    return compile_workflow(HEAD.format(name="again") + body, "workflows/again.yaml", CONTRACTS)


class Told:
    """A journal as it is told, event by event."""

    def __init__(self) -> None:
        self.state = RunState()
        self("run.started", input={}, workflow="test/again")

    def __call__(self, kind: Any, /, **data: Any) -> Told:
        seq = self.state.last_seq + 1
        self.state.apply(Event(seq, kind, AT + timedelta(seconds=seq), data))
        return self

    def begun(self, path: str, *, key: str | None = None, **arguments: Any) -> Told:
        data = {"step": path, "attempt": 1, "arguments": arguments, "labels": {}}
        if key is None:
            return self("step.started", **data)
        return self("effect.intended", **data, key=key, recovery="ask", settle_s=0)

    def over(self, path: str, status: str = "done", *, key: str | None = None, **more: Any) -> Told:
        if path not in self.state.open:
            self.begun(path, key=key)
        return self("step.ended", step=path, status=status, **more)

    def end(self, status: str = "failed", **error: Any) -> RunState:
        self("run.ended", status=status, outcome=None, error=error)
        return self.state

    def reopened(self, workflow: Workflow) -> RunState:
        self("run.reopened", **reopening(workflow, self.state).told())
        return self.state


LINES = """
  lines:
    for: ${input.items}
    as: line
    steps:
BODY
    give: {n: 1}
  late: {after: lines, tool: shop.get}
"""


def lines(body: str) -> Workflow:
    return compiled(LINES.replace("BODY", "\n".join(f"      {line}" for line in body.splitlines())))


def test_a_run_that_was_called_in_a_group_is_not_called_again() -> None:
    workflow = lines("sub: {call: test/child, with: {n: 1}}")
    told = Told().begun("lines", items=[1, 2])
    told.over("lines[0]/sub")("group.turned", step="lines", index=0, output={"n": 1})
    told.over("lines[1]/sub", "failed", error={"kind": "child_failed"}).over("lines", "failed", error={}).end()
    found = reopening(workflow, told.state)
    assert dict(found.void) == {"lines[1]/sub": 1}
    assert found.again == ("lines",)


PAID = """pay: {tool: bank.pay, undo: {tool: bank.back}}
book: {after: pay, tool: shop.book}
sum: {set: {n: "${pay.n}"}}"""


def test_what_was_undone_in_a_group_acts_again_where_other_effects_of_it_stand() -> None:
    workflow = lines(PAID)
    told = Told().begun("lines", items=[1])
    told.over("lines[0]/pay", key="k").over("lines[0]/book", key="b").over("lines[0]/sum")
    told("group.turned", step="lines", index=0, output={"n": 1}).over("lines").over("late", "failed", error={})
    told("run.unwinding", cause="failed", error={}).over("lines[0]/pay/undo", key="undo/k").end()
    found = reopening(workflow, told.state)
    assert dict(found.void) == {"late": 1, "lines[0]/pay": 1, "lines[0]/pay/undo": 0, "lines[0]/sum": 1}
    assert found.again == ("lines",)
    assert found.unturned == {"lines": [0]}
    state = told.reopened(workflow)
    assert state.open.keys() == {"lines"}
    assert state.steps["lines"].turns == {}
    assert state.steps["lines[0]/pay"].generation == 1
    assert state.steps["lines"].tried_at == AT + timedelta(seconds=state.last_seq)  # its time begins anew
    assert set(state.ended_in("lines[0]/")) == {"book"}


def test_a_group_with_an_effect_in_doubt_goes_on() -> None:
    workflow = lines("pay: {tool: bank.pay}")
    told = Told().begun("lines", items=[1]).begun("lines[0]/pay", key="k")
    told("run.unwinding", cause="terminated", error={})("step.ended", step="lines", status="cancelled")
    told("step.ended", step="late", status="cancelled").end("terminated")
    found = reopening(workflow, told.state)
    assert (dict(found.void), found.again) == ({"late": 1}, ("lines",))


def test_a_step_goes_on_with_its_on_error_steps_where_an_effect_of_these_stands() -> None:
    workflow = compiled(
        "  act: {tool: shop.get, on_error: {steps: {pay: {tool: bank.pay},"
        " more: {after: pay, tool: shop.get}}, give: {}}}\n"
    )
    told = Told().begun("act")
    told("step.waiting", step="act", kind="fallback", until=None, state={"error": {"kind": "no"}}, about="")
    told.over("act!/pay", key="k").over("act!/more", "failed", error={})
    told.over("act", "failed", error={"kind": "no", "detail": ""}).end()
    found = reopening(workflow, told.state)
    assert (dict(found.void), found.again, found.instead) == ({"act!/more": 1}, (), ("act",))
    state = told.reopened(workflow)
    assert state.steps["act"].waiting == Waiting(
        "fallback", None, {"error": {"kind": "no", "detail": ""}}, "its 'on_error' steps run"
    )
    assert set(state.ended_in("act!/")) == {"pay"}


def test_whether_something_was_undone_must_be_known() -> None:
    workflow = compiled("  pay: {tool: bank.pay, undo: {tool: bank.back}}\n")
    told = Told().over("pay", key="k")("run.unwinding", cause="failed", error={}).begun("pay/undo", key="undo/k")
    told("run.unwinding", cause="terminated", error={}).end("terminated")
    with pytest.raises(ConflictError, match="Whether 'pay' was undone is not known"):
        reopening(workflow, told.state)


LOOP = """
  cycle:
    repeat:
      pay: {tool: bank.pay, undo: {tool: bank.back}}
      book: {after: pay, tool: shop.book, when: "index == HELD"}
    until: index == 2
    give: {n: 1}
  late: {after: cycle, tool: shop.get}
"""


@pytest.mark.parametrize("held", [0, 2])
def test_a_loop_goes_on_with_the_first_turn_of_which_something_was_undone(held: int) -> None:
    workflow = compiled(LOOP.replace("HELD", str(held)))
    told = Told().begun("cycle")
    for index in range(3):
        told.over(f"cycle[{index}]/pay", key=f"k{index}")
        if index == held:
            told.over(f"cycle[{index}]/book", key="b")
        if index < 2:
            told("group.turned", step="cycle", index=index, output={}, again=True)
    told.over("cycle").over("late", "failed", error={})("run.unwinding", cause="failed", error={})
    for index in (2, 1):
        told.over(f"cycle[{index}]/pay/undo", key=f"undo/k{index}")
    told.end("terminated")
    if held == 2:  # what was booked in the last turn came of the one before
        with pytest.raises(ConflictError, match="came of it, and that stands"):
            reopening(workflow, told.state)
        return
    found = reopening(workflow, told.state)
    assert (found.again, found.unturned) == (("cycle",), {"cycle": [1]})
    assert {"cycle[1]/pay", "cycle[2]/pay", "cycle[1]/pay/undo", "late"} <= found.void.keys()
    assert not {"cycle", "cycle[0]/pay", "cycle[0]/book"} & found.void.keys()


def test_what_is_void_inside_something_void_keeps_its_count() -> None:
    workflow = lines("pay: {tool: bank.pay, undo: {tool: bank.back}}")
    told = Told()
    early: dict[str, Any] = {
        "path": "lines[0]/pay",
        "kind": "signal",
        "sent_by": "user/ana",
        "data": {},
        "disposition": "accepted",
    }
    told("message.received", message_id="0198c5a0-0000-7000-8000-000000000000", **early)
    told.begun("lines", items=[1]).over("lines[0]/pay", key="k").over("lines", "failed", error={})
    told("run.unwinding", cause="failed", error={}).over("lines[0]/pay/undo", key="undo/k").end()
    assert told.reopened(workflow).steps["lines[0]/pay"].generation == 1


def approved_in_python() -> Told:
    """A step that came before a review; the payment that this permits comes next."""
    told = Told().over("before").begun("ok")
    approval = {"step": "ok", "review_id": "r-1", "digest": "d", "decided_by": "user/ana", "result": "approved"}
    return told("step.ended", step="ok", status="done", result="approved", approval=approval)


@pytest.mark.parametrize("stands", [False, True])
def test_a_review_in_python_that_permitted_something_undone_is_asked_again(stands: bool) -> None:
    """The second payment was made on the approval of the first, which permits one effect."""
    told = approved_in_python()
    if stands:
        told.over("book", key="book")
    told(
        "effect.intended",
        step="pay",
        attempt=1,
        key="pay",
        recovery="ask",
        settle_s=0,
        approvals=["r-1"],
        arguments={},
        labels={},
    )
    told.over("pay").over("pay/undo", key="undo/pay").over("last", status="failed").end(step="last")
    workflow = python_workflow("again", lambda: None)
    if stands:
        with pytest.raises(ConflictError, match="'book' took effect, and that stands"):
            reopening(workflow, told.state)
    else:
        assert reopening(workflow, told.state).void == {"ok": 1, "pay": 1, "last": 1, "pay/undo": 0}


def test_a_run_that_went_on_as_another_does_not_do_so_again_when_forked() -> None:
    told = Told()("run.continued", run_id="0198c5a0-0000-7000-8000-000000000000", loop="cycle", continued_from={})
    told.end("done")
    assert told("run.reopened", void={}, again=[]).state.continued is None


def _seconds(items: int) -> float:
    workflow = lines('pay: {tool: bank.pay}\nsum: {set: {n: "${pay.n}"}}')
    told = Told().begun("lines", items=list(range(items)))
    told.over("lines[0]/pay", key="k")
    for index in range(1, items):
        told.over(f"lines[{index}]/pay", "failed", error={}).over(f"lines[{index}]/sum", "blocked")
    told.over("lines", "failed", error={}).end()
    began = time.process_time()
    told.reopened(workflow)
    return time.process_time() - began


def test_reopening_costs_what_there_is_to_reopen() -> None:
    small, large = min(_seconds(500) for _ in range(2)), _seconds(4000)
    assert large < 30 * small + 0.5  # eight times as much; the square of it would be 64 times
    assert large < 5
