"""Who may decide a review: a role, and policy besides. Every boundary asks here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from signoff.core.actors import Actor
from signoff.core.errors import ForbiddenError
from signoff.governance.policy import Decision, PolicyRequest, review_request
from signoff.governance.policy.values import cedar_record

from .edits import edited_fields
from .model import Review, ReviewDecision

Authorise = Callable[[PolicyRequest], Decision]
"""`PolicySet.decide`, or what asks several policy sets and permits only what all of them permit."""


def require_role(actor: Actor, review: Review, now: datetime) -> None:
    """Nobody decides without one of the review's roles; no role stands above it, `admin` neither.

    Raises:
        ForbiddenError: the actor holds none of them.
    """
    roles = review.roles_at(now)
    if not actor.roles & roles:
        needed = " or ".join(f"role/{role}" for role in sorted(roles))
        raise ForbiddenError(f"This review is decided by {needed}; {actor} is none of them.")


def authorise_decision(
    authorise: Authorise,
    actor: Actor,
    review: Review,
    decision: ReviewDecision,
    *,
    values: Mapping[str, Any],
    now: datetime,
    environment: str = "dev",
) -> Decision:
    """Ask policy for `review.decide`, with the final values, so that an edit passes policy too.

    To the context of `governance.policy.review_request` it adds `own_run` (the actor started the run: four eyes),
    `escalated`, `values` as far as Cedar can represent them, and `skipped`, JSON Pointers of those it cannot.

    Raises:
        ForbiddenError: policy does not permit it.
    """
    request = review_request(
        actor,
        workflow=review.workflow,
        version=review.workflow_version,
        risk=review.risk,
        step=review.path,
        result="approved" if decision.verdict == "approve" else "rejected",
        assigned_roles=review.roles_at(now),
        edited=edited_fields(review.proposed, values),
        started_by=review.started_by,
        environment=environment,
    )
    seen, skipped = cedar_record(values)
    context = {
        **request.context,
        "own_run": review.own_run_of(actor),
        "escalated": review.escalate_at is not None and review.escalate_at <= now,
        "values": seen,
        "skipped": [f"/values{pointer}" for pointer in skipped],
    }
    answer = authorise(replace(request, context=context))
    answer.require()
    return answer
