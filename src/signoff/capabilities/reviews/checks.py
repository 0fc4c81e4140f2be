"""What rules a request or a decision out, apart from roles and policy."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.core.errors import ConflictError, InvalidError, LimitError, NotFoundError, Problem

from .model import Review, ReviewDecision, ReviewLimits, ReviewRequest


def role_name(role: str) -> str:
    """A role without the `role/` that documents write."""
    return role.removeprefix("role/")


def not_found(review_id: UUID) -> NotFoundError:
    """The error for a review that the organisation does not have."""
    return NotFoundError(f"There is no review {review_id}.")


def check_roles(request: ReviewRequest) -> None:
    """Somebody must be able to decide, and an escalation has a time and roles.

    Raises:
        InvalidError: not so.
    """
    if not role_name(request.role) or not all(role_name(role) for role in request.escalate_to):
        raise InvalidError(f"'{request.path}' needs the name of a role that may decide it, such as role/support-lead")
    if (request.escalate_at is None) != (not request.escalate_to):
        raise InvalidError(f"'{request.path}' escalates with both a time and roles, or not at all")


def require_open(review: Review, now: datetime) -> None:
    """Only an open review is decided.

    Raises:
        ConflictError: it was decided (says by whom and when), has expired, or was withdrawn.
    """
    status = review.status_at(now)
    facts: dict[str, Any] = {"review_id": str(review.review_id), "review_status": status}
    if status in ("approved", "rejected"):
        assert review.closed_at is not None, "a CHECK constraint gives every decision its time"
        when = review.closed_at.isoformat(timespec="seconds")
        raise ConflictError(f"This review was {status} by {review.decided_by} at {when}.", **facts)
    if status == "expired":
        when = review.expire_at.isoformat(timespec="seconds") if review.expire_at else "its time"
        raise ConflictError(f"This review expired at {when}; it can no longer be decided.", **facts)
    if status == "withdrawn":
        raise ConflictError("This review was withdrawn: its run ended without needing it.", **facts)


def require_digest(review: Review, decision: ReviewDecision) -> None:
    """A decision is on what the person saw.

    Raises:
        ConflictError: the digest given is of something else.
    """
    if decision.digest is not None and decision.digest != review.digest:
        raise ConflictError(
            "The digest is not that of what this review presents. Read the review again and decide on what it shows.",
            review_id=str(review.review_id),
            digest=review.digest,
        )


def check_words(decision: ReviewDecision, limits: ReviewLimits) -> None:
    """A rejection has a reason and no values; words are bounded and can be stored.

    Raises:
        InvalidError: not so, with one problem each.
        LimitError: longer than `limits.reason_characters`.
    """
    if decision.verdict == "reject":
        problems: list[Problem] = []
        if not (decision.reason or "").strip():
            problems.append(Problem("a rejection needs a reason.", pointer="/reason", code="required"))
        if decision.values:
            problems.append(
                Problem("a rejection has no values: leave them out.", pointer="/values", code="not-allowed")
            )
        if problems:
            raise InvalidError("The review cannot be rejected like this.", problems=problems)
    for name, text in (("reason", decision.reason), ("comment", decision.comment)):
        if text is not None and len(text) > limits.reason_characters:
            raise LimitError(f"The {name} is longer than {limits.reason_characters} characters.")
        if text is not None and any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
            detail = f"the {name} holds a character that cannot be stored."
            raise InvalidError(detail, problems=[Problem(detail, pointer=f"/{name}")])
