"""A review's life: opened by a step, then decided, expired or withdrawn, once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, LimitError
from signoff.core.ids import derived_id, digest
from signoff.foundation.database import Connection
from signoff.runtime.client import send_message

from . import store
from .checks import check_roles, check_words, not_found, require_digest, require_open, role_name
from .edits import final_values
from .model import DEFAULT_LIMITS, MESSAGE_KIND, Review, ReviewDecision, ReviewLimits, ReviewRequest
from .permission import Authorise, authorise_decision, require_role
from .presented import annotations_document, canonical_json, presented_document


async def open_review(
    connection: Connection, org_id: UUID, request: ReviewRequest, *, limits: ReviewLimits = DEFAULT_LIMITS
) -> Review:
    """Put the question to its role. Asking again for the same run, path and generation gives the review that is there.

    Raises:
        InvalidError: a value is no JSON, `editable` names what is not proposed, or the roles are incomplete.
        LimitError: it shows more than `limits.presented_bytes`.
        ConflictError: the step has a review already, which presents something else.
    """
    check_roles(request)
    content = presented_document(request, limits)
    review_id = review_id_of(request.run_id, request.path, request.generation)
    values = (
        org_id, review_id, request.run_id, request.path,
        request.workflow, request.workflow_version, request.risk, request.release, request.title,
        role_name(request.role), [role_name(role) for role in request.escalate_to], str(request.started_by),
        content, digest(content), annotations_document(request),
        request.opened_at, request.escalate_at, request.expire_at, request.generation,
    )  # fmt: skip
    await store.insert(connection, values)
    review = await read_review(connection, org_id, review_id)
    if review.digest != digest(content):
        raise ConflictError(
            f"'{request.path}' of run {request.run_id} opened a review before, which presents something else",
            review_id=str(review_id),
        )
    return review


async def read_review(connection: Connection, org_id: UUID, review_id: UUID) -> Review:
    """The review.

    Raises:
        NotFoundError: the organisation has none of that id.
    """
    review = await store.read(connection, org_id, review_id)
    if review is None:
        raise not_found(review_id)
    return review


async def decide(
    connection: Connection,
    actor: Actor,
    review_id: UUID,
    decision: ReviewDecision,
    *,
    authorise: Authorise,
    now: datetime,
    environment: str = "dev",
    limits: ReviewLimits = DEFAULT_LIMITS,
) -> Review:
    """Decide a review and tell its run, in the connection's transaction: both happen, or neither.

    Checked in this order, on the locked row: the role, the state, the expiry, the digest, the values and the reason,
    and policy (`review.decide`) on the final values.

    Raises:
        NotFoundError: no such review in the actor's organisation.
        ForbiddenError: the actor lacks the role, or policy says no.
        ConflictError: it was decided, has expired or was withdrawn, or presents something else than the digest says.
        InvalidError: the values or the reason are wrong; one problem each, with a JSON Pointer into the request.
        LimitError: values, reason or comment are larger than the limits.
    """
    review = await _locked(connection, actor.org_id, review_id)
    require_role(actor, review, now)
    require_open(review, now)
    require_digest(review, decision)
    check_words(decision, limits)
    approved = decision.verdict == "approve"
    values = final_values(review.proposed, review.editable, decision.values) if approved else dict(review.proposed)
    encoded = canonical_json(values)
    if approved and len(encoded) > limits.values_bytes:
        raise LimitError(f"The values have {len(encoded)} bytes; {limits.values_bytes} are allowed.")
    answer = authorise_decision(authorise, actor, review, decision, values=values, now=now, environment=environment)
    decided = await store.decide(
        connection,
        review,
        status="approved" if approved else "rejected",
        now=now,
        decided_by=str(actor),
        final_values=encoded if approved else None,
        reason=decision.reason,
        comment=decision.comment,
    )
    await send_message(
        connection,
        org_id=review.org_id,
        run_id=review.run_id,
        path=review.path,
        kind=MESSAGE_KIND,
        data={**decision_data(decided), "policy": answer.as_dict()},
        sent_by=str(actor),
        now=now,
        message_id=derived_id(review.review_id, "decision"),
    )
    return decided


def decision_data(review: Review) -> dict[str, object]:
    """What the run is told of a decided review. Its values are none where it was rejected."""
    return {
        "result": review.status,
        "values": None if review.final_values is None else dict(review.final_values),
        "reason": review.reason,
        "decided_by": review.decided_by,
        "digest": review.digest,
        "review_id": str(review.review_id),
    }


async def escalate(connection: Connection, org_id: UUID, review_id: UUID, *, now: datetime) -> bool:
    """Record that the review has waited until `escalate_at`. True once: whoever gets it announces it.

    The further roles may decide from `escalate_at` on, whether or not this was called.
    """
    return await store.escalate(connection, org_id, review_id, now)


async def expire(connection: Connection, org_id: UUID, review_id: UUID, *, now: datetime) -> Review:
    """End a review whose time is over. One that has ended already, or has time left, is given back as it is.

    Raises:
        NotFoundError: no such review.
    """
    review = await _locked(connection, org_id, review_id)
    if review.status == "open" and review.status_at(now) == "expired":
        await store.close(connection, org_id, review_id, "expired", now)
    return await read_review(connection, org_id, review_id)


async def withdraw(connection: Connection, org_id: UUID, review_id: UUID, *, now: datetime) -> Review:
    """Take an open review back, as its run ends without it. One that has ended already is given back as it is.

    Raises:
        NotFoundError: no such review.
    """
    await store.close(connection, org_id, review_id, "withdrawn", now)
    return await read_review(connection, org_id, review_id)


def review_id_of(run_id: UUID, path: str, generation: int = 0) -> UUID:
    """The id of the review of that step: the same after any crash, another where the step was begun anew."""
    return derived_id(run_id, f"review/{path}#{generation}" if generation else f"review/{path}")


async def _locked(connection: Connection, org_id: UUID, review_id: UUID) -> Review:
    review = await store.read(connection, org_id, review_id, lock=True)
    if review is None:
        raise not_found(review_id)
    return review
