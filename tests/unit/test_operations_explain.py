"""The explanation of a run, for every place that a run can be in: what it waits for, who ends that, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.explained_runs import (
    BANK,
    BEGUN,
    CONTINUED,
    GATED,
    HELD,
    IDLE,
    NOW,
    RATED,
    RUN,
    STARTED,
    TRIED,
    Told,
    events,
    state,
    told,
    waiting,
)

from signoff.runtime.client.explaining_starts import Standing, Use
from signoff.runtime.client.explanations import Place
from signoff.runtime.client.history import timeline


@pytest.mark.parametrize(
    ("place", "summary", "word"),
    [
        (replace(IDLE, workers=0), "It waits for a worker, and no worker is alive.", "signoff worker"),
        (IDLE, "It waits until a worker has room.", f"signoff runs priority {RUN} 1"),
        (replace(IDLE, not_before=NOW + timedelta(hours=2)), "It is delayed and begins in 2 h.", "with a delay"),
        (
            replace(IDLE, ahead=3, team="emea", due_at=NOW - timedelta(minutes=2)),
            "It waits until a worker has room.",
            "3 runs of team 'emea' with that priority are before it. Organisations and teams take turns. It has been",
        ),
        (
            replace(GATED, standing=Standing(BANK, Use(2), teams=3)),
            "It waits for its turn in a queue.",
            "Queue 'bank': all 2 slots are in use; 3 runs of team 'emea' are before it; 3 teams take turns",
        ),
        (
            replace(GATED, standing=Standing(BANK, Use(1), Use(1))),
            "It waits for its turn in a queue.",
            "Queue 'bank': its one slot for team 'emea' is in use; 3 runs of team 'emea' are before it.",
        ),
        (
            replace(GATED, standing=Standing(RATED, Use(0, 0.5, NOW))),
            "It waits for its turn in a queue.",
            "Queue 'bank': its rate (10 in 1 min) lets the next run begin in 3 s",
        ),
        (
            replace(GATED, gate="key", queue_key="c-7", standing=Standing(BANK, key=Use(1))),
            "It waits for its turn in a queue.",
            "Queue 'bank': its one slot for key 'c-7' is in use; 3 runs of its key are before it.",
        ),
        (
            replace(GATED, standing=Standing(BANK, paused_by="user/ana", paused_reason="the bank is down")),
            "It waits for its turn in a queue.",
            "Queue 'bank' was paused by user/ana: the bank is down. signoff queues resume shop/bank",
        ),
    ],
)
def test_a_run_that_has_not_begun(place: Place, summary: str, word: str) -> None:
    found = told(state(("run.started", STARTED)), place, "queued")
    assert found.summary == summary
    (reason,) = found.reasons
    assert word in " ".join((reason.text, *reason.commands))


@pytest.mark.parametrize(
    ("event", "command"),
    [
        (waiting("review", review_id="r-1"), "signoff reviews approve r-1"),
        (waiting("outcome_unknown"), "--kind effect.resolution"),
        (waiting("undo_failed"), "--kind effect.resolution"),
        (waiting("event"), f"signoff runs skip {RUN} pay"),
        (waiting("child", run_id="c-1"), "signoff runs explain c-1"),
        (
            ("step.retrying", {"step": "pay", "attempt": 1, "error": {"detail": "busy"}, "retry_at": NOW}),
            f"signoff runs retry {RUN}",
        ),
    ],
)
def test_a_run_that_waits_says_who_can_end_that_and_how(event: Any, command: str) -> None:
    found = told(state(*BEGUN, event), IDLE)
    assert found.summary == "It waits at step 'pay'."
    (reason,) = found.reasons
    assert reason.who
    assert any(command in line for line in reason.commands), reason.commands


def test_a_person_who_undoes_by_hand_is_told_what_was_done_and_what_the_undo_would_have_sent() -> None:
    done: Told = ("step.ended", {"step": "pay", "status": "done", "output": {"payment": "p-7"}, "labels": {}})
    intent: dict[str, Any] = {"step": "pay", "attempt": 1, "key": "r/pay", "recovery": "ask", "settle_s": 0}
    intended: Told = ("effect.intended", intent)
    undo: Told = ("step.started", {**TRIED, "step": "pay/undo", "arguments": {"payment": "p-7"}})
    failed: dict[str, Any] = {"step": "pay/undo", "kind": "undo_failed", "until": None, "state": {}, "about": "-"}
    waits: Told = ("step.waiting", failed)
    (reason,) = told(state(*BEGUN, intended, done, undo, waits), IDLE).reasons
    assert reason.facts == {
        "arguments": '{"payment":"p-7"}',
        "tries": 1,
        "undoes": "pay",
        "undone_arguments": "{}",
        "undone_key": "r/pay",
        "undone_output": '{"payment":"p-7"}',
        "undone_ended_at": "2026-01-01T00:00:04+00:00",
    }


def test_a_run_at_work_paused_or_unwinding() -> None:
    assert told(state(*BEGUN), HELD, "running").summary == "'pay': under way at worker host-1, process 7."
    paused = told(state(*BEGUN, ("run.paused", {"by": "user/bo", "reason": "look"})), IDLE, "paused")
    assert paused.summary == "user/bo paused it 4 min 57 s ago: look."
    assert paused.reasons[0].commands == (f"signoff runs resume {RUN}",)
    unwinding: Told = ("run.unwinding", {"cause": "cancelled", "error": {"detail": "no more", "by": "user/bo"}})
    assert told(state(*BEGUN, unwinding), HELD).summary.startswith("It was cancelled: no more.")


@pytest.mark.parametrize(
    ("end", "summary"),
    [
        ({"status": "done", "outcome": "paid"}, "It ended 4 min 57 s ago with the outcome 'paid'."),
        (
            {"status": "failed", "outcome": None, "error": {"step": "pay", "kind": "refused", "detail": "no"}},
            "It failed 4 min 57 s ago at step 'pay'.",
        ),
        (
            {"status": "cancelled", "outcome": None, "error": {"by": "user/bo", "detail": "late"}},
            "It was cancelled by user/bo 4 min 57 s ago: late.",
        ),
    ],
)
def test_a_run_that_ended_says_why(end: Mapping[str, Any], summary: str) -> None:
    found = told(state(*BEGUN, ("run.ended", end)), None, str(end["status"]))
    assert found.summary == summary
    commands = [command for reason in found.reasons for command in reason.commands]
    assert commands == ([] if end["status"] == "done" else [f"signoff runs retry {RUN} --reason '…'"])


def test_a_terminated_run_names_what_nobody_knows() -> None:
    end: dict[str, Any] = {
        "status": "terminated",
        "outcome": None,
        "error": {},
        "in_doubt": [{"step": "pay", "key": "k"}],
        "effects": ["ship", "tell"],
    }
    found = told(state(*BEGUN, ("run.ended", end)), None, "terminated")
    assert found.reasons[0].text == "Nobody knows whether 'pay' took effect (key k)."
    assert found.reasons[1].text == "Not undone, these took effect: ship, tell."


def test_messages_that_nobody_took_yet_are_told() -> None:
    found = told(state(*BEGUN), replace(IDLE, messages=2, due_at=NOW))
    assert found.reasons[-1].text == "2 messages wait until a worker takes the run up."
    late = told(state(*BEGUN), replace(IDLE, messages=2)).reasons[-1].text
    assert "due for 5 min: the workers have no room for it (SIGNOFF_ENGINE__RESIDENT_RUNS and" in late


def test_a_timeline_has_every_stretch_and_who_or_what_ended_it() -> None:
    message: dict[str, Any] = {
        "message_id": str(RUN), "path": "pay", "kind": "signal", "sent_by": "user/bo", "data": {},
        "disposition": "accepted",
    }  # fmt: skip
    found = timeline(
        events(
            *BEGUN,
            ("step.retrying", {"step": "pay", "attempt": 1, "error": {"kind": "busy", "detail": "x"}, "retry_at": NOW}),
            ("step.started", {"step": "pay", "attempt": 2}),
            waiting("review"),
            ("message.received", message),
            ("step.ended", {"step": "pay", "status": "done", "message_id": str(RUN)}),
            ("run.ended", {"status": "done", "outcome": "paid"}),
        )
    )
    assert [(span.kind, span.by) for span in found.spans] == [
        ("try", "pay"),
        ("backoff", "its next try was due"),
        ("try", "pay"),
        ("wait", "user/bo"),
    ]
    assert [event.cause for event in found.events] == [
        "user/ana", "the run began", "pay", "its next try was due", "pay", "user/bo", "user/bo", "its last step"
    ]  # fmt: skip
    assert all(span.ended_at is not None for span in found.spans)


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (
            {"forked_from": {"run_id": "f-1", "seq": 7, "reason": "what if"}, "dry": True},
            "a fork of run f-1 as of event 7 (what if). It acts dry: no tool",
        ),
        ({"forked_from": {"run_id": "f-1", "seq": 7, "reason": ""}}, "as of event 7. Its effects are real."),
        ({"parent": {"run_id": "p-1", "path": "lines[2]/ship"}}, "Step 'lines[2]/ship' of run p-1 called it."),
        ({"continued_from": {**CONTINUED, "run_id": "c-1", "turns": 40}}, "the loop of run c-1, after 40 turns."),
    ],
)
def test_a_run_that_came_from_another_says_which(origin: Mapping[str, Any], words: str) -> None:
    """A fork that acts dry looked like any other run, in lists, explanations and to who approves."""
    found = told(state(("run.started", {**STARTED, **origin}), ("step.started", TRIED), waiting("review")), IDLE)
    assert words in found.reasons[-1].text
    assert found.reasons[-1].commands[0].startswith("signoff runs explain ")
    assert found.reasons[-1].commands[0][-3:] in found.reasons[-1].text


def test_a_run_whose_loop_goes_on_names_the_next() -> None:
    end = {"status": "done", "outcome": "continued", "output": {"run_id": "n-1"}}
    found = told(
        state(("run.started", STARTED), ("run.continued", {"run_id": "n-1"}), ("run.ended", end)), None, "done"
    )
    assert found.reasons[0].commands == ("signoff runs explain n-1",)


def test_a_timeline_names_the_line_of_code_that_asked_and_what_let_a_blocked_step_end() -> None:
    """Steps of a workflow in Python were all said to be caused by the run's beginning, and a blocked one by itself."""
    command = {"verb": "tool", "target": "bank.pay", "at": "workflows/pay.py:17"}
    ended: Told = ("step.ended", {"step": "pay", "status": "failed", "error": {"kind": "x", "detail": "y"}})
    blocked: Told = ("step.ended", {"step": "ship", "status": "blocked"})
    found = timeline(
        events(("run.started", STARTED), ("step.started", {**TRIED, "command": command}), ended, blocked),
        {"ship": frozenset({"pay"})},
    )
    assert [event.cause for event in found.events][1:] == [
        "the workflow's code, workflows/pay.py:17", "pay", "the end of pay"
    ]  # fmt: skip
