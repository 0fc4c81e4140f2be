"""The explanation of states that are harder to get into: what it says in words, who ends that, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.explained_runs import (
    BANK,
    BEGUN,
    GATED,
    HELD,
    IDLE,
    NOW,
    RUN,
    STARTED,
    TRIED,
    T,
    Told,
    state,
    told,
    waiting,
)

from signoff.runtime.client.explaining import MOST_REASONS, explain_stuck
from signoff.runtime.client.explaining_starts import Standing, Use
from signoff.runtime.client.model import RunSummary

INTENDED: Told = (
    "effect.intended",
    {"step": "pay", "attempt": 1, "key": "r/pay", "recovery": "ask", "settle_s": 0, "broke": None},
)


def retrying(kind: str, **more: Any) -> Told:
    error = {"kind": kind, "detail": "the other side is down"}
    data: Mapping[str, Any] = {"step": "pay", "attempt": 1, "error": error, "retry_at": NOW + timedelta(seconds=9)}
    return "step.retrying", {**data, **more}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (retrying("down"), "failed (try 1): the other side is down. It is tried again in 9 s."),
        (retrying("breaker_open", held=True), "is held back, nothing was sent: the other side is down. It comes again"),
        (retrying("not_sent"), "was not sent, as its worker had lost the run"),
        (retrying("down", in_doubt=True), "Whether it took effect is not known; that is found out first."),
        (waiting("review", until=NOW + timedelta(hours=2)), "waits for a person: about it. Without a decision it exp"),
        (waiting("event", until=NOW + timedelta(days=1)), "waits for about it. Its time is over in 1 d."),
        (waiting("time", until=NOW + timedelta(hours=1)), "waits for a moment: it goes on in 1 h."),
        (waiting("pause", until=NOW + timedelta(minutes=9)), "pauses between two turns: the next begins in 9 min."),
        (waiting("child", run_id="c-1"), "waits for about it, which it called."),
        (waiting("limit", until=NOW, at_limit="park"), "about it."),
        (waiting("outcome_unknown"), "'failed': it did not, and the step fails."),
        (waiting("undo_failed"), "'happened': it is undone by hand"),
        (waiting("fallback", error={"detail": "no"}), "failed: no. The steps of its 'on_error' run instead."),
    ],
)
def test_a_wait_says_in_words_what_it_is_and_when_it_ends(event: Told, words: str) -> None:
    (reason,) = told(state(*BEGUN, event), IDLE).reasons
    assert words in reason.text
    assert reason.who
    assert "None" not in reason.text


def test_a_try_that_a_breaker_held_back_is_counted_as_none_and_shows_where_to_look() -> None:
    (reason,) = told(state(*BEGUN, retrying("breaker_open", held=True)), IDLE).reasons
    assert reason.commands == ("signoff breakers --not-closed",)


def test_an_open_group_is_not_told_of_where_a_step_inside_it_waits() -> None:
    """It was said to be under way and to want a worker, while the one thing it waited for was a person."""
    inner: Told = ("step.started", {**TRIED, "step": "lines[0]/ask"})
    wait: Told = (
        "step.waiting",
        {"step": "lines[0]/ask", "kind": "review", "until": None, "state": {"review_id": "r-1"}, "about": "look"},
    )
    found = told(state(("run.started", STARTED), ("step.started", {**TRIED, "step": "lines"}), inner, wait), IDLE)
    assert found.summary == "It waits at step 'lines[0]/ask'."
    assert [reason.step for reason in found.reasons] == ["lines[0]/ask"]


def test_a_run_that_goes_on_waits_at_the_gate_of_its_queue() -> None:
    """One that gave its slot back while it waited, or was retried, was said to go on as soon as a worker looks."""
    ended: Told = ("step.ended", {"step": "pay", "status": "done", "output": {}, "labels": {}})
    back = replace(GATED, gate="back", ahead=1, standing=Standing(BANK, Use(2)))
    found = told(state(*BEGUN, ended), back)
    assert found.summary == "It waits for its turn in a queue."
    assert "all 2 slots are in use; one run back from a wait is before it" in found.reasons[0].text


def test_a_start_with_attributes_that_no_worker_took_waits_for_one() -> None:
    given: Told = ("run.attributes", {"attributes": {"order": {"type": "text", "value": "o-1"}}})
    found = told(state(("run.started", STARTED), given), IDLE, "queued")
    assert found.summary == "It waits until a worker has room."


def test_a_run_under_way_names_each_step_its_try_and_since_when() -> None:
    found = told(state(*BEGUN), HELD, "running")
    (reason,) = found.reasons
    assert (reason.step, reason.since) == ("pay", T + timedelta(seconds=2))
    assert reason.text == "Step 'pay' is under way, try 1."
    idle = told(state(*BEGUN), replace(IDLE, workers=0))
    assert idle.reasons[0].commands == ("signoff worker",)


def test_a_worker_that_died_is_not_said_to_be_at_work() -> None:
    """After a restore each run of then was said to be under way, at a worker that was gone for days."""
    dead = replace(HELD, workers=0, host_since=T, host_until=NOW - timedelta(minutes=2))
    found = told(state(*BEGUN), dead, "running")
    assert "which died or was cut off (its lease was over 2 min ago)" in found.summary
    assert found.reasons[0].commands == ("signoff worker",)
    assert found.summary != told(state(*BEGUN), replace(dead, host_until=NOW + timedelta(seconds=9)), "running").summary


def test_an_effect_that_another_worker_sent_is_said_to_be_found_out_first() -> None:
    """Until its look-up, which waits for the call's time limit, it looked like any call under way."""
    later = replace(HELD, host_since=NOW)
    (reason,) = told(state(*BEGUN, INTENDED), later, "running").reasons
    assert "The worker that sent it is gone: what became of it is found out first" in reason.text
    (reason,) = told(state(*BEGUN, INTENDED), replace(HELD, host_since=T), "running").reasons
    assert reason.text == "Step 'pay' is under way, try 1."


def test_advice_about_an_effect_in_doubt_is_given_once() -> None:
    asked = waiting("outcome_unknown", about="Did 'pay' take effect? Look it up, then signal effect.resolution.")
    (reason,) = told(state(*BEGUN, INTENDED, asked), IDLE).reasons
    assert reason.text.lower().count("look it up") == 1
    assert "signal" not in reason.text  # the commands say it


def test_an_effect_in_quarantine_after_a_failover_is_said_to_be_looked_up_first() -> None:
    broke: Told = ("effect.intended", {**INTENDED[1], "broke": T.isoformat()})
    (reason,) = told(state(*BEGUN, broke), HELD, "running").reasons
    assert "PostgreSQL failed over or was restored" in reason.text
    assert "found out before it is sent" in reason.text


def test_what_is_being_taken_back_says_whether_a_person_is_needed() -> None:
    unwinding: Told = ("run.unwinding", {"cause": "failed", "error": {"step": "ship", "detail": "no stock"}})
    undo: Told = ("step.started", {**TRIED, "step": "pay/undo"})
    done: Told = ("step.ended", {"step": "pay", "status": "done", "output": {}, "labels": {}})
    begun = (*BEGUN, INTENDED, done, unwinding, undo)
    found = told(state(*begun), HELD)
    assert found.summary == "It failed at step 'ship': no stock. What is under way settles, and effects are undone."
    assert found.reasons[0].text == "Step 'pay/undo' is under way, try 1. It takes back what the run did."
    failed: Told = (
        "step.waiting",
        {"step": "pay/undo", "kind": "undo_failed", "until": None, "state": {}, "about": "cannot"},
    )
    assert told(state(*begun, failed), IDLE).summary.endswith("and a person has to help with that.")
    cut: Told = ("run.unwinding", {"cause": "terminated", "error": {"detail": "enough"}})
    assert told(state(*BEGUN, cut), HELD).summary.endswith("What is under way is cut off; nothing is undone.")


@pytest.mark.parametrize("kind", ["time_limit", "history_limit", "forbidden", "no_outcome", "budget"])
def test_a_limit_that_was_reached_says_which_key_sets_it(kind: str) -> None:
    end: dict[str, Any] = {"status": "failed", "outcome": None, "error": {"kind": kind, "detail": "over"}}
    text = told(state(*BEGUN, ("run.ended", end)), None, "failed").reasons[0].text
    assert text.startswith(f"{kind}: over. ")
    assert len(text) > len(f"{kind}: over. ")


@pytest.mark.parametrize(
    ("code", "words", "first"),
    [
        ("command-mismatch", "asks for something else than is recorded", "migrate"),
        ("foreign-await", "awaited something that is no command", "migrate"),
        ("non-responsive", "ran for too long without an await", "retry"),
        ("environment-missing", "Start a worker with those packages", "migrate"),
        ("non-determinism", "another version of Signoff", "migrate"),
        ("crash-limit", "Workers died with this run", "retry"),
        ("not-found", "Register the same files again", "migrate"),
        ("codec", "a codec that this worker does not have", None),
        ("artifact", "A large value of it is not there", None),
        ("damaged", "Restore the database beside this one", None),
        ("internal", "Its journal cannot be read as it stands", "migrate"),
        ("something-new", "It cannot be loaded (something-new): why. Mend what is told here", "migrate"),
    ],
)
def test_a_stuck_run_says_what_that_means_and_what_to_do(code: str, words: str, first: str | None) -> None:
    """Its journal may be what cannot be read, so nothing but its row is asked."""
    run = RunSummary(
        RUN, "w", "1.0.0", "r", "stuck", None, (), {"code": code, "detail": "why."}, {}, "user/ana", T, T, None
    )
    found = explain_stuck(run, replace(IDLE, workers=0))
    stuck, no_worker = found.reasons
    assert words in stuck.text
    assert stuck.until is None  # looking at it again ends nothing
    if first is None:  # nothing can be added to a journal that cannot be read: commands that end or move it do nothing
        assert stuck.commands == ()
    else:
        assert stuck.commands[0].startswith(f"signoff runs {first} {RUN}")
    assert no_worker.commands == ("signoff worker",)


def test_code_that_asks_for_something_else_is_shown_with_both_commands_and_lines() -> None:
    error = {
        "code": "command-mismatch",
        "detail": "the journal has another",
        "recorded": {"step": "pay", "verb": "tool", "target": "bank.pay", "at": "workflows/pay.py:17"},
        "now": {"ends": "refunded"},
    }
    run = RunSummary(RUN, "w", "1.0.0", "r", "stuck", None, (), error, {}, "user/ana", T, T, None)
    assert explain_stuck(run, IDLE).reasons[0].facts == {
        "recorded": "tool bank.pay as 'pay' at workflows/pay.py:17",
        "now": "ends refunded",
    }


def test_no_more_reasons_are_given_than_a_person_reads() -> None:
    many: list[Told] = [("step.started", {**TRIED, "step": f"s{count}"}) for count in range(MOST_REASONS + 7)]
    found = told(state(("run.started", STARTED), *many), HELD, "running")
    assert len(found.reasons) == MOST_REASONS + 1
    assert found.reasons[-1].text == "7 more steps wait or are under way."
    assert "and 52 more: under way" in found.summary
