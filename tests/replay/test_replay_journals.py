"""Journals that earlier engines wrote fold to what they meant then: a change that breaks one breaks running runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from tests.replay.expected_of_engine import EXPECTED_OF_ENGINE

from signoff.runtime.events import Event, EventKind, decode, encode
from signoff.runtime.state import RunState, fold
from signoff.runtime.views import waiting_for

JOURNALS = Path(__file__).parent / "journals"

EXPECTED: dict[str, dict[str, Any]] = {
    "approved_effect": {
        "end": ("done", "paid"),
        "steps": {"ok": ("done", 1), "pay": ("done", 2)},
        "outputs": {"ok": {"n": 1}, "pay": {"id": "p-1"}},
    },
    "undone_by_hand": {
        "end": ("failed", None),
        "steps": {"pay": ("done", 1), "next": ("failed", 1), "pay/undo": ("done", 1)},
        "outputs": {"pay": {"id": "p-2"}},
    },
    "unknown_outcome": {
        "end": ("done", "ok"),
        "steps": {"a": ("done", 1), "ask": ("done", 1)},
        "outputs": {"a": {"id": "p-3"}, "ask": {"answer": 42}},
    },
    "groups_done": {
        "end": ("done", "ok"),
        "steps": {
            "s0": ("done", 1),
            "s1": ("done", 1),
            "s2": ("done", 3),
            "s3": ("done", 1),
            "s0[0]/e": ("done", 1),
            "s0[1]/e": ("done", 1),
            "s3[0]/e": ("done", 2),
            "s0[2]/e": ("done", 1),
            "s3[1]/e": ("done", 2),
        },
        "outputs": {"s0": {"items": [{"n": 0}, {"n": 1}, {"n": 2}], "count": 3, "failed": []}, "s3": {"turns": 2}},
    },
    "groups_undone": {
        "end": ("failed", None),
        "steps": {
            "s0": ("done", 1),
            "s1": ("done", 1),
            "s3": ("done", 1),
            "s4": ("failed", 6),
            "s0[0]/e": ("done", 2),
            "s0[1]/e": ("done", 2),
            "s1[0]/r": ("done", 1),
            "s1[0]/e": ("done", 1),
            "s0[2]/e": ("done", 2),
            "s2": ("done", 0),
            "s0[2]/e/undo": ("done", 1),
            "s0[0]/e/undo": ("done", 1),
            "s0[1]/e/undo": ("done", 1),
            "s1[0]/e/undo": ("done", 1),
        },
        "outputs": {
            "s0": {"items": [{"n": 0}, {"n": 1}, {"n": 2}], "count": 3, "failed": []},
            "s3": {"answer": "01b8dac5-d75a-75cd-8cf5-9534685c0362"},
            "s2": {"n": 2},
        },
    },
    **EXPECTED_OF_ENGINE,
}


def recorded(name: str) -> list[Event]:
    rows = orjson.loads((JOURNALS / f"{name}.json").read_bytes())
    return [Event(row["seq"], row["kind"], datetime.fromisoformat(row["recorded_at"]), row["data"]) for row in rows]


def summary(state: RunState) -> dict[str, Any]:
    assert state.end is not None
    ended = {path: record for path, record in state.steps.items() if record.state is not None}
    return {
        "end": (state.end["status"], state.end["outcome"]),
        "steps": {path: (record.state.status, record.attempt) for path, record in ended.items() if record.state},
        "outputs": {
            path: record.state.output for path, record in ended.items() if record.state and record.state.output
        },
    }


def test_every_recorded_journal_has_its_expectation():
    assert {path.stem for path in JOURNALS.glob("*.json")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_journal_folds_to_what_it_meant(name: str):
    state = fold(recorded(name))
    assert summary(state) == EXPECTED[name]
    doubted = {entry["step"] for entry in (state.end or {}).get("in_doubt", ())}  # of a run that was ended at once
    assert {record.path for record in state.steps.values() if record.in_doubt} == doubted


@pytest.mark.parametrize("name", EXPECTED)
def test_folding_goes_on_from_any_place(name: str):
    """A run that leaves memory anywhere and comes back is the run that stayed."""
    events = recorded(name)
    for place in range(1, len(events)):
        state = fold(events[:place])
        assert state.last_seq == place
        for event in events[place:]:
            state.apply(event)
        assert state == fold(events)


@pytest.mark.parametrize("name", EXPECTED)
def test_events_are_read_back_as_they_were_written(name: str):
    for event in recorded(name):
        assert decode(encode(event.data)) == event.data


def test_a_run_waits_for_a_person_in_the_middle_of_an_unknown_outcome():
    events = recorded("unknown_outcome")
    asked = next(event.seq for event in events if event.kind == "step.waiting")
    state = fold(events[:asked])
    assert [(entry["step"], entry["kind"]) for entry in waiting_for(state)] == [("a", "outcome_unknown")]
    assert state.steps["a"].in_doubt


def test_every_kind_of_event_is_in_some_recorded_journal():
    """What no journal here has could change its meaning unseen."""
    kinds = {event.kind for name in EXPECTED for event in recorded(name)}
    assert kinds == set(get_args(EventKind))
