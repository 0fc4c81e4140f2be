"""Reviews: the inbox, one review, and its decision."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response, Security

from signoff.api.entity_tags import listed, tagged
from signoff.api.messages import NAME, DecideReview, ReviewOut, ReviewPageOut, ReviewState, ReviewSummaryOut
from signoff.api.paging import DEFAULT_PAGE, Limit, visible_page
from signoff.api.problems import PreconditionFailedError, PreconditionRequiredError, documented
from signoff.api.services import ActorOf, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.capabilities.reviews import Review, ReviewDecision, ReviewSummary, decide, list_reviews, read_review
from signoff.capabilities.reviews.inbox import cursor_of

router = APIRouter(
    prefix="/v1/reviews", tags=["reviews"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute
)


@router.get(
    "", operation_id="listReviews", summary="List reviews", response_model=ReviewPageOut, responses=documented()
)
async def list_(
    *,
    services: ServicesOf,
    actor: ActorOf,
    status: ReviewState | None = None,
    role: Annotated[str | None, Query(pattern=NAME, description="Only what holders of this role may decide.")] = None,
    workflow: Annotated[str | None, Query(pattern=NAME)] = None,
    run_id: UUID | None = None,
    cursor: Annotated[str | None, Query(max_length=1000, description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_PAGE,
) -> ReviewPageOut:
    """The reviews that you may read: what expires first, then what has waited longest."""
    now = services.now()

    async def read(position: str | None, rows: int) -> tuple[list[ReviewSummary], str | None]:
        async with services.database.transaction(actor.org_id) as connection:
            page = await list_reviews(
                connection,
                actor.org_id,
                now=now,
                status=status,
                roles=None if role is None else [role.removeprefix("role/")],
                run_id=run_id,
                workflow=workflow,
                cursor=position,
                limit=rows,
            )
        return list(page.reviews), page.next_cursor

    items, after = await visible_page(
        read, lambda review: services.access.may_read_review(actor, review), cursor_of, cursor=cursor, limit=limit
    )
    shown = [ReviewSummaryOut.model_validate(_summary(review, services.now())) for review in items]
    return ReviewPageOut(items=shown, next=after)


@router.get(
    "/{review_id}",
    operation_id="readReview",
    summary="Read a review",
    response_model=ReviewOut,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404),
)
async def read(review_id: UUID, request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """What is proposed, the evidence beside it, who may decide, and the decision once there is one."""
    async with services.database.transaction(actor.org_id) as connection:
        review = await read_review(connection, actor.org_id, review_id)
    await services.access.require_review_read(actor, review)
    body = ReviewOut.model_validate(_whole(review, services.now())).model_dump_json().encode()
    return tagged(request, body, _tag(review))


@router.post(
    "/{review_id}/decision",
    operation_id="decideReview",
    summary="Decide a review",
    response_model=ReviewOut,
    responses=documented(400, 403, 404, 409, 412, 413, 428, 429),
)
async def decide_(
    review_id: UUID,
    body: DecideReview,
    services: ServicesOf,
    actor: ActorOf,
    if_match: Annotated[str | None, Header(description="The `ETag` of the review as you saw it.")] = None,
) -> ReviewOut:
    """Approve, with edits of editable values, or reject with a reason. Once, by a holder of one of its roles."""
    if body.digest is None and if_match is None:
        raise PreconditionRequiredError(
            "Say what you decided on: the review's 'digest' in the body, or its ETag in the header If-Match."
        )
    async with services.database.transaction(actor.org_id) as connection:
        seen = await read_review(connection, actor.org_id, review_id)
    jurisdiction = await services.access.jurisdiction(actor.org_id, seen.release)
    async with services.commanding(actor, seen.run_id) as connection:
        # What an open review presents never changes, so its tag, once compared, stands for the digest.
        digest = body.digest or _matched(if_match or "", seen)
        decision = ReviewDecision(body.decision, body.values, body.reason, body.comment, digest)
        decided = await decide(
            connection,
            actor,
            review_id,
            decision,
            authorise=jurisdiction.authority.decide,
            now=services.now(),
            environment=services.environment,
        )
    return ReviewOut.model_validate(_whole(decided, services.now()))


def _matched(header: str, review: Review) -> str:
    tags = listed(header)
    if "*" in tags:
        raise PreconditionRequiredError("'If-Match: *' does not say what you saw. Give the review's ETag.")
    if review.status == "open" and _tag(review) not in tags:
        raise PreconditionFailedError("The review has changed since you read it. Read it again, then decide.")
    return review.digest


def _tag(review: ReviewSummary) -> str:
    return f'"{review.version}.{review.digest}"'


def _summary(review: ReviewSummary, now: Any) -> dict[str, Any]:
    names = ReviewSummaryOut.model_fields.keys() - {"step", "status", "may_decide"}
    status = review.status_at(now)
    return {
        **{name: getattr(review, name) for name in names},
        "step": review.path,
        "status": status,
        "may_decide": sorted(review.roles_at(now)) if status == "open" else [],
    }


def _whole(review: Review, now: Any) -> dict[str, Any]:
    return {
        **_summary(review, now),
        "proposed": dict(review.proposed),
        "editable": list(review.editable),
        "shown": dict(review.shown),
        "sources": dict(review.sources),
        "labels": {name: label.as_dict() for name, label in review.labels.items()},
        "final_values": None if review.final_values is None else dict(review.final_values),
    }
