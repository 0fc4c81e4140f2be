"""What the journal says of one step: the parts of a run's state, without the fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from signoff.core.fresh import fresh_dict, fresh_list
from signoff.core.labels import BOTTOM, Fields, Labels, no_fields
from signoff.core.values import value
from signoff.runtime.handlers import Approval, Message, Waiting
from signoff.workflows.semantics import StepState

OUTCOME_UNKNOWN = "outcome_unknown"
UNDO_FAILED = "undo_failed"
ENGINE_WAITS = frozenset({OUTCOME_UNKNOWN, UNDO_FAILED})
RESOLUTION = "effect.resolution"
PAUSE = "pause"
FALLBACK = "fallback"
CLOSING = "closing"
SETTLING = "settling"
APPROVAL_OUTDATED = "approval_outdated"
"""Kind of the failure of an effect whose approval was used under a release that the run has no more."""

MESSAGES_LATE = "messages.late"
"""Name of the note that says that no step takes the messages any more that came for that path."""


@value
class Turn:
    """The end of one iteration of a group, where the group goes on after it.

    Attributes:
        status: done, failed or blocked.
        output: what `give` said.
        labels: of that, and of what decided what follows.
        control: of what decided what follows.
        fields: of single fields of the output, where they are lower.
        error: of one that is not done.
        again: of `repeat`: another turn follows.
    """

    status: str
    output: Mapping[str, Any]
    labels: Labels
    error: Mapping[str, Any] | None = None
    again: bool = False
    control: Labels | None = None
    fields: Fields = field(default_factory=no_fields)


@value
class Meant:
    """What a step's record knows of its latest intent; its attributes are those of the record."""

    in_doubt: bool
    intent: str | None
    doubted: bool
    broke: str | None
    key: str | None
    once: str | None
    recovery: str | None
    settle_s: float
    approvals: tuple[str, ...]


@dataclass(slots=True)
class StepRecord:
    """What the journal says of one step, or of one compensation (`refund/undo`).

    Attributes:
        attempt: the latest try, from 1; 0 before the first.
        arguments: as evaluated for the first try; never evaluated again.
        labels: of everything the step read.
        argument_labels: per key of `with`, or of a loop's `start`.
        control: of what decided that it runs, of a group and of a call; of a review, with all that it decides on.
            None where it is not told apart from `labels`.
        needed: of a review.
        key: the idempotency key as sent, of an effect.
        once: the key by business meaning, without its generation; none where the document gives none.
        recovery: what the tool's contract says to do when the outcome is unknown, of an effect.
        settle_s: how long after `tried_at` the call may still take effect, in seconds.
        approvals: ids of the reviews that its latest intent used up, of an effect.
        in_doubt: an intent is journaled, and no answer yet.
        intent: which intent that is, the latest: its place and whose it was.
        doubted: an earlier try was in doubt already when that intent was journaled.
        broke: the latest break of the server's history when it was journaled; what was tried before it is known since.
        held: how many of its tries a circuit breaker held back: they were never made.
        tried_at: when the latest try began.
        retry_at: when the next try begins, after a failed one.
        waiting: what the step waits for.
        undelivered: messages that arrived for it and were not handled yet.
        error: of the latest failed try.
        state: its end, as later steps see it; none before.
        ended_seq: where in the journal it ended; compensations run in the reverse of this order.
        ended_at: when.
        begun_seq: where in the journal it began, or ended where it was computed at once.
        command: of a workflow in Python: what asked for the step, to compare with what does when it is run again.
        approval: of a review that was approved or not needed.
        via: `fallback` where `on_error` gave the output.
        caught: it failed, and its document foresees that (`on_error: continue`).
        turns: of a group: the ends of its iterations, by index.
        generation: how often an effect of this step was settled and made void by a reopening; its own key carries it.
    """

    path: str
    attempt: int = 0
    arguments: Mapping[str, Any] = field(default_factory=fresh_dict)
    labels: Labels = BOTTOM
    argument_labels: Mapping[str, Labels] = field(default_factory=fresh_dict)
    control: Labels | None = None
    needed: bool = True
    key: str | None = None
    once: str | None = None
    recovery: str | None = None
    settle_s: float = 0.0
    approvals: tuple[str, ...] = ()
    in_doubt: bool = False
    intent: str | None = None
    doubted: bool = False
    broke: str | None = None
    held: int = 0
    tried_at: datetime | None = None
    retry_at: datetime | None = None
    waiting: Waiting | None = None
    undelivered: list[Message] = field(default_factory=fresh_list)
    error: Mapping[str, Any] | None = None
    state: StepState | None = None
    ended_seq: int = 0
    ended_at: datetime | None = None
    begun_seq: int = 0
    command: Mapping[str, Any] | None = None
    approval: Approval | None = None
    via: str | None = None
    caught: bool = False
    turns: dict[int, Turn] = field(default_factory=fresh_dict)
    generation: int = 0

    def means(self, intent: Mapping[str, Any]) -> None:
        """A try with an effect is about to act: what `effect.intended` says of it."""
        self.doubted, self.in_doubt = self.in_doubt, True
        self.intent = intent.get("intent")
        self.broke = intent.get("broke")
        self.key = intent["key"]
        self.once = intent.get("once")
        self.recovery = intent["recovery"]
        self.settle_s = intent["settle_s"]
        self.approvals = tuple(intent.get("approvals", ()))

    def meant(self) -> Meant:
        """What it knows of its latest intent."""
        return Meant(
            self.in_doubt,
            self.intent,
            self.doubted,
            self.broke,
            self.key,
            self.once,
            self.recovery,
            self.settle_s,
            self.approvals,
        )

    def take_back(self, before: Meant) -> None:
        """The intent that came after `before` was refused: the journal has none in its place."""
        if self.state is None:
            for known in fields(before):
                setattr(self, known.name, getattr(before, known.name))
