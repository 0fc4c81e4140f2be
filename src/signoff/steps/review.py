"""The verb `review`: a person decides. The run leaves memory meanwhile, for as long as it takes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from signoff.capabilities.reviews import (
    Review,
    ReviewRequest,
    escalate,
    expire,
    open_review,
    read_review,
    withdraw,
)
from signoff.capabilities.reviews.model import ReviewResult
from signoff.capabilities.reviews.results import ReviewResults
from signoff.capabilities.reviews.service import review_id_of
from signoff.core.errors import ConflictError, InvalidError, LimitError, NotFoundError, StepError
from signoff.core.ids import digest
from signoff.core.labels import Labels
from signoff.runtime.handlers import Approval, Done, Effect, Message, StepCall, Waiting
from signoff.steps.acting import ActingStep
from signoff.steps.services import Services

BY_POLICY = "policy"
DRY_RUN = "Dry run: "
"""Before the title of a review in a fork that acts dry: nothing will be done, whoever approves it."""


class ReviewStep(ActingStep):
    """Opens a review, waits, and takes the decision from the review itself: messages and moments only wake it."""

    verb = "review"
    visible = True

    def __init__(self, services: Services) -> None:
        self._services = services
        self._results = ReviewResults(services.database)

    def effect(self, call: StepCall) -> Effect | None:  # noqa: ARG002  (the protocol has it)
        """A review's row is ours and idempotent by run and path."""
        return None

    async def execute(self, call: StepCall) -> Done | Waiting:
        """Stand as proposed where no person is needed (rule 7); else ask one."""
        proposed: Mapping[str, Any] = call.arguments.get("propose", {})
        if not call.needed:
            exactly = orjson.dumps(
                [call.run.release, str(call.run.run_id), call.path, proposed], option=orjson.OPT_SORT_KEYS
            )
            approval = Approval(call.path, "", digest(exactly), BY_POLICY, "not_needed")
            output = {**proposed, "comment": None, "decided_by": BY_POLICY}
            return Done(output, result="not_needed", approval=approval)
        try:
            async with self._services.database.transaction(call.run.org_id) as connection:
                review = await open_review(connection, call.run.org_id, _request(call, proposed))
        except (InvalidError, LimitError, ConflictError) as error:
            raise StepError(error.detail, kind="review", problems=error.problems) from error
        return _waiting(review)

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:  # noqa: ARG002  (the protocol has it)
        """Read what became of the review; its row, not the message, is what counts."""
        org_id, review_id, now = call.run.org_id, UUID(waiting.state["review_id"]), call.clock.now()
        result = await self._results.of(org_id, review_id)
        if result is not None:
            return _ended(call, result)
        async with self._services.database.transaction(org_id) as connection:
            review = await expire(connection, org_id, review_id, now=now)
            if review.status == "open" and review.escalate_at is not None and review.escalate_at <= now:
                if await escalate(connection, org_id, review_id, now=now):
                    call.record("review.escalated", {"review_id": str(review_id), "to": list(review.escalate_to)})
                review = await read_review(connection, org_id, review_id)
        return _waiting(review) if review.status == "open" else _ended(call, review.as_result())

    async def withdraw(self, call: StepCall, waiting: Waiting) -> None:  # noqa: ARG002  (the protocol has it)
        """Nobody needs to decide any more."""
        org_id, review_id = call.run.org_id, review_id_of(call.run.run_id, call.path, call.generation)
        try:
            async with self._services.database.transaction(org_id) as connection:
                await withdraw(connection, org_id, review_id, now=call.clock.now())
        except NotFoundError:
            return  # its try was cut off before it was opened


def _request(call: StepCall, proposed: Mapping[str, Any]) -> ReviewRequest:
    settings, run, now = call.step.settings, call.run, call.clock.now()
    escalation: Mapping[str, Any] = settings.get("escalate") or {}
    return ReviewRequest(
        run_id=run.run_id,
        path=call.path,
        workflow=run.workflow,
        workflow_version=run.version,
        risk=run.risk,
        release=run.release,
        title=f"{DRY_RUN}{call.step.target}" if run.dry else call.step.target,
        role=settings["by"],
        proposed=proposed,
        started_by=run.started_by,
        opened_at=now,
        editable=tuple(settings.get("editable", ())),
        shown=call.arguments.get("show", {}),
        labels=_labels(call, proposed),
        escalate_at=_after(now, escalation.get("open_for")),
        escalate_to=(escalation["also"],) if escalation else (),
        expire_at=_after(now, settings.get("expire")),
        generation=call.generation,
    )


def _labels(call: StepCall, proposed: Mapping[str, Any]) -> dict[str, Labels]:
    return dict.fromkeys(proposed, call.labels)


def _after(now: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


def _waiting(review: Review) -> Waiting:
    moments = [review.expire_at]
    if review.escalated_at is None:
        moments.append(review.escalate_at)
    until = min((moment for moment in moments if moment is not None), default=None)
    roles = [review.role, *(review.escalate_to if review.escalated_at is not None else ())]
    about = f"{review.title} — {' or '.join(f'role/{role}' for role in roles)} decides review {review.review_id}"
    return Waiting("review", until, {"review_id": str(review.review_id)}, about)


def _ended(call: StepCall, review: ReviewResult) -> Done:
    facts = {"comment": review.comment, "decided_by": review.decided_by or "", "reason": review.reason}
    if review.status == "approved":
        approval = Approval(call.path, str(review.review_id), review.digest, str(review.decided_by), "approved")
        return Done({**(review.final_values or {}), **facts}, result="approved", approval=approval)
    if review.status in ("rejected", "expired"):
        return Done(facts, result=review.status, readable=False)
    raise StepError(f"The review was {review.status}", kind="review")
