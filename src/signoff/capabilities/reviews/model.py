"""What a review is: a proposal, the evidence beside it, who may decide, and what they decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.labels import Labels
from signoff.workflows.model import Risk

ReviewStatus = Literal["open", "approved", "rejected", "expired", "withdrawn"]
Verdict = Literal["approve", "reject"]

MESSAGE_KIND = "review.decision"
"""The kind of the message that a decision sends to its run."""


@dataclass(frozen=True, slots=True)
class ReviewLimits:
    """Bounds of what reviews hold.

    Attributes:
        presented_bytes: of the canonical JSON of what is proposed and shown. Larger evidence is shown by reference.
        values_bytes: of the canonical JSON of the values as decided.
        reason_characters: of a reason, and of a comment.
        page: reviews in one page of a list at most.
    """

    presented_bytes: int = 1_048_576
    values_bytes: int = 262_144
    reason_characters: int = 4_000
    page: int = 200


DEFAULT_LIMITS = ReviewLimits()


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """What a step asks a person to decide.

    Attributes:
        run_id: the run that waits.
        path: the step's place in the run; one review per run, path and generation.
        workflow: the workflow's name.
        workflow_version: its version.
        risk: its risk class: low, medium or high.
        release: the digest of the release that the run pinned.
        title: the question, as the document puts it.
        role: who may decide, with or without the `role/` that documents write.
        proposed: the values that the review returns if nobody edits them.
        editable: which of their keys a reviewer may change.
        shown: the evidence by its source text (`input.ticket.text`), in the order in which it is shown.
        sources: of proposed values, the expression each came from, by key.
        labels: labels of what is shown by source text, and of proposed values by key.
        started_by: who started the run.
        opened_at: when it opened, in UTC.
        escalate_at: from when on the roles of `escalate_to` may decide too.
        escalate_to: those roles.
        expire_at: from when on nobody may decide any more.
        generation: how often the step was begun anew after the run's end; each time the question is put again.
    """

    run_id: UUID
    path: str
    workflow: str
    workflow_version: str
    risk: Risk
    release: str
    title: str
    role: str
    proposed: Mapping[str, Any]
    started_by: Actor
    opened_at: datetime
    editable: tuple[str, ...] = ()
    shown: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, Labels] = field(default_factory=dict[str, Labels])
    escalate_at: datetime | None = None
    escalate_to: tuple[str, ...] = ()
    expire_at: datetime | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """A review as a list shows it.

    Attributes:
        version: counts its changes from 1: the entity tag.
        digest: SHA-256 of exactly what was presented, hexadecimal; see `presented_document`.
        started_by: who started the run, as `kind/id`.
        escalated_at: when the escalation was announced. Who may decide depends on `escalate_at` alone.
        closed_at: when it was decided, expired or withdrawn.
        decided_by: who decided, as `kind/id`.
        reason: why; always there for a rejection.
    """

    org_id: UUID
    review_id: UUID
    run_id: UUID
    path: str
    workflow: str
    workflow_version: str
    risk: Risk
    release: str
    title: str
    role: str
    escalate_to: tuple[str, ...]
    started_by: str
    status: ReviewStatus
    version: int
    digest: str
    opened_at: datetime
    escalate_at: datetime | None
    escalated_at: datetime | None
    expire_at: datetime | None
    closed_at: datetime | None
    decided_by: str | None
    reason: str | None
    comment: str | None

    def status_at(self, now: datetime) -> ReviewStatus:
        """Its status by the clock: an open review past its expiry is expired, whether or not a worker has seen it."""
        expired = self.status == "open" and self.expire_at is not None and self.expire_at <= now
        return "expired" if expired else self.status

    def roles_at(self, now: datetime) -> frozenset[str]:
        """The roles whose holders may decide; those it escalates to from `escalate_at` on, with no worker needed."""
        escalated = self.escalate_at is not None and self.escalate_at <= now
        return frozenset({self.role, *(self.escalate_to if escalated else ())})

    def own_run_of(self, actor: Actor) -> bool:
        """Whether that actor started the run: four eyes ask for another."""
        return self.started_by == str(actor)


@dataclass(frozen=True, slots=True)
class Review(ReviewSummary):
    """A review with everything that the reviewer sees.

    Attributes:
        proposed: the values that it returns if nobody edits them.
        editable: which of their keys a reviewer may change.
        shown: the evidence by source text, in order.
        sources: the expression each proposed value came from, by key.
        labels: labels of shown and proposed values, by source text and key.
        final_values: of an approved review, the values as decided.
    """

    proposed: Mapping[str, Any]
    editable: tuple[str, ...]
    shown: Mapping[str, Any]
    sources: Mapping[str, str]
    labels: Mapping[str, Labels]
    final_values: Mapping[str, Any] | None

    def as_result(self) -> ReviewResult:
        """What a run takes from it once it has ended."""
        return ReviewResult(
            self.review_id, self.status, self.digest, self.decided_by, self.reason, self.comment, self.final_values
        )


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """How a review has ended: what its run goes on with.

    Attributes:
        status: approved, rejected, expired or withdrawn.
        digest: of what was presented.
        final_values: of an approved review, the values as decided.
    """

    review_id: UUID
    status: ReviewStatus
    digest: str
    decided_by: str | None
    reason: str | None
    comment: str | None
    final_values: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """What a person decides.

    Attributes:
        verdict: approve or reject.
        values: edits by key, of an approval; keys that are not named stay as proposed.
        reason: why; a rejection needs one.
        comment: anything else, for whoever reads the record.
        digest: of what the person saw; where given, it must be the review's.
    """

    verdict: Verdict
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reason: str | None = None
    comment: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """Part of a list.

    Attributes:
        reviews: by expiry, then by age.
        next_cursor: what to ask the next page with; none at the end.
    """

    reviews: tuple[ReviewSummary, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class InboxCounts:
    """What waits, for a badge.

    Attributes:
        open: reviews that somebody may still decide.
        mine: of them, those that the asker's roles may decide now.
        escalated: of them, those past their escalation.
        expiring: of them, those that expire within the asked time.
    """

    open: int
    mine: int
    escalated: int
    expiring: int
