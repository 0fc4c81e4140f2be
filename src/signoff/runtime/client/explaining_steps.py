"""Why a step is where it is: what it waits for, or what is under way, who can end that, and how."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from signoff.runtime.client.explaining_effects import effect_facts
from signoff.runtime.client.explaining_starts import span
from signoff.runtime.client.explanations import WHY, Reason, command
from signoff.runtime.paths import enclosing, is_undo
from signoff.runtime.records import CLOSING, FALLBACK, OUTCOME_UNKNOWN, RESOLUTION, SETTLING, UNDO_FAILED
from signoff.runtime.state import RunState, StepRecord

_ANSWERS = ('{"resolution": "happened", "output": {}}', '{"resolution": "retry"}', '{"resolution": "failed"}')
_DECISIONS = ('{"decision": "allow"}', '{"decision": "refuse"}')
_BY_ITSELF = "the run, by itself"
_BY_TIME = "the moment, by itself"


class StepTeller:
    """Tells of the steps of one run that have begun and not ended.

    Args:
        run_id: the run.
        state: as its journal describes it.
        now: the moment of asking.
        host_since: when the worker that has the run began; none where no worker has it.
    """

    def __init__(self, run_id: str, state: RunState, now: datetime, host_since: datetime | None = None) -> None:
        self._run = run_id
        self._state = state
        self._now = now
        self._host_since = host_since

    def waits(self) -> list[Reason]:
        """What steps wait for, each with who ends it."""
        return [self._waits(record) for record in self._open() if not _is_acting(record)]

    def acts(self) -> list[Reason]:
        """What is under way. A group is only where nothing in it is told of."""
        return [self._acts(record) for record in self._open() if _is_acting(record)]

    def _open(self) -> list[StepRecord]:
        """Steps under way or waiting, but for those of which the steps inside tell more."""
        found = {path: record for path, record in self._state.steps.items() if _is_open(record)}
        owners = {owner for path in found for owner, _ in enclosing(path)}
        return [record for path, record in found.items() if path not in owners or not _defers(record)]

    def _in(self, moment: datetime | None) -> str:
        left_s = 0.0 if moment is None else (moment - self._now).total_seconds()
        return f"in {span(left_s)}" if left_s > 0 else "now"

    def _acts(self, record: StepRecord) -> Reason:
        text = f"Step '{record.path}' is under way, try {max(record.attempt - record.held, 1)}."
        if record.in_doubt and record.broke is not None:
            text += (
                " PostgreSQL failed over or was restored since the run began, and may have forgotten that this was"
                " sent: what became of it is found out before it is sent."
            )
        elif record.doubted:
            text += " Nobody knows whether an earlier try took effect; that is found out first."
        elif record.in_doubt and _before(record.tried_at, self._host_since):
            text += (
                " The worker that sent it is gone: what became of it is found out first, once the call can no longer be"
                " under way."
            )
        elif is_undo(record.path):
            text += " It takes back what the run did."
        return Reason(text, record.path, record.tried_at, who=f"{_BY_ITSELF}; at the latest its time limit")

    def _waits(self, record: StepRecord) -> Reason:
        if record.retry_at is not None:
            return self._tried_again(record)
        waiting = record.waiting
        assert waiting is not None
        who, commands = self._ends(record)
        facts = effect_facts(self._state, record)
        return Reason(self._text(record), record.path, record.tried_at, waiting.until, who, commands, facts)

    def _tried_again(self, record: StepRecord) -> Reason:
        error: Mapping[str, Any] = record.error or {}
        kind, detail = str(error.get("kind", "")), str(error.get("detail", "")).rstrip(".")
        again, retry = self._in(record.retry_at), command(self._run, "retry")
        who, commands = "the moment; or, at once, somebody who may 'run.retry'", (retry,)
        match kind:
            case "breaker_open":
                text = (
                    f"Step '{record.path}' is held back, nothing was sent: {detail}. It comes again {again}; that uses"
                    " up none of its tries. Mend the other side: the breaker closes once a call goes well."
                )
                who, commands = "the other side, once it answers again", ("signoff breakers --not-closed",)
            case "not_sent":
                text = (
                    f"Step '{record.path}' was not sent, as its worker had lost the run. It comes again {again};"
                    " that uses up none of its tries."
                )
            case _:
                tried = record.attempt - record.held
                text = f"Step '{record.path}' failed (try {tried}): {detail}. It is tried again {again}."
        if record.in_doubt:
            text += " Whether it took effect is not known; that is found out first."
        return Reason(text, record.path, record.tried_at, record.retry_at, who, commands)

    def _text(self, record: StepRecord) -> str:
        waiting, path = record.waiting, record.path
        assert waiting is not None
        after, about = self._in(waiting.until), waiting.about.rstrip(".")
        told = f"Step '{path}': {about}."
        match waiting.kind:
            case "review":
                expires = "" if waiting.until is None else f" Without a decision it expires {after}."
                text = f"Step '{path}' waits for a person: {about}.{expires}"
            case "outcome_unknown":
                text = f"{_asked(record)}{self._answered(record)} {_MEANT}"
            case "undo_failed":
                text = f"{told} {_MEANT_OF_UNDO}"
            case "event":
                over = "" if waiting.until is None else f" Its time is over {after}."
                text = f"Step '{path}' waits for {about}.{over}"
            case "time":
                text = f"Step '{path}' waits for a moment: it goes on {after}."
            case "pause":
                text = f"Step '{path}' pauses between two turns: the next begins {after}."
            case "child":
                over = "" if waiting.until is None else f" Its time is over {after}."
                text = f"Step '{path}' waits for {about}, which it called.{over}"
            case "fallback":
                error: Mapping[str, Any] = waiting.state.get("error") or {}
                text = f"Step '{path}' failed: {error.get('detail', '')}. The steps of its 'on_error' run instead."
            case _:
                text = told
        return text

    @staticmethod
    def _answered(record: StepRecord) -> str:
        """How its latest try ended, where that is known."""
        detail = str((record.error or {}).get("detail", "")).rstrip(".")
        return f" What its worker saw: {detail}." if detail else ""

    def _ends(self, record: StepRecord) -> tuple[str, tuple[str, ...]]:
        waiting = record.waiting
        assert waiting is not None
        state = waiting.state
        who, commands = _BY_ITSELF, tuple[str, ...]()
        match waiting.kind:
            case "review":
                review = state.get("review_id", "REVIEW")
                who, commands = (
                    "whoever has one of those roles",
                    (
                        f"signoff reviews show {review}",
                        f"signoff reviews approve {review}",
                        f"signoff reviews reject {review} --reason '…'",
                    ),
                )
            case "outcome_unknown" | "undo_failed":
                who, commands = "somebody who looked in the other system", self._signals(record, RESOLUTION, _ANSWERS)
            case "limit" if state.get("at_limit") == "ask":
                who = "somebody who may let it beyond its limit"
                commands = self._signals(record, "limit.decision", _DECISIONS)
            case "limit":
                who, commands = "the moment, when there is room again", ("signoff costs",)
            case "run" | "child" | "settling" if state.get("run_id"):
                who, commands = "the run that it called, when it ends", (f"signoff runs explain {state['run_id']}",)
            case "event" | "time" | "pause":
                ended = "whoever sends that event (POST /v1/events)" if waiting.kind == "event" else _BY_TIME
                who = f"{ended}; or, without it, somebody who may 'run.skip'"
                commands = (command(self._run, "skip", record.path, *WHY),)
            case _:
                pass
        return who, commands

    def _signals(self, record: StepRecord, kind: str, answers: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            command(self._run, "signal", record.path, "--kind", kind, "--data", f"'{data}'") for data in answers
        )


_MEANT = (
    "Look it up in the other system and say what you found. 'happened': it did, with what the tool answered as"
    " its 'output'; 'retry': it did not, and is sent; 'failed': it did not, and the step fails."
)
_MEANT_OF_UNDO = (
    "'happened': it is undone by hand; 'retry': the undo is tried again; 'failed': the effect stays, and the run goes"
    " on undoing the rest."
)


def _asked(record: StepRecord) -> str:
    """The question about an effect; what its wait says in words of its own is advice that follows here anyway."""
    lost = "" if record.broke is None else " PostgreSQL failed over or was restored since, and may have forgotten it."
    return f"Step '{record.path}': nobody knows whether it took effect.{lost}"


_DEFERRING = frozenset({FALLBACK, CLOSING, SETTLING})
"""Waits of a step for those inside it."""


def is_for_a_person(record: StepRecord) -> bool:
    """Whether the step waits for a person's word on an effect or an undo."""
    return _is_open(record) and record.waiting is not None and record.waiting.kind in (OUTCOME_UNKNOWN, UNDO_FAILED)


def _before(moment: datetime | None, other: datetime | None) -> bool:
    return moment is not None and other is not None and moment < other


def _is_open(record: StepRecord) -> bool:
    return record.state is None and record.attempt > 0


def _is_acting(record: StepRecord) -> bool:
    return record.waiting is None and record.retry_at is None


def _defers(record: StepRecord) -> bool:
    """Whether it waits for nothing of its own: a group at work, or one that runs or ends the steps inside."""
    return _is_acting(record) or (record.waiting is not None and record.waiting.kind in _DEFERRING)
