"""Operations on runs: cancel, terminate, pause, resume, retry, skip, priority; one run at a time, or many."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Security

from signoff.api.bulk import operate_batch
from signoff.api.operating import ACTIONS, check_step
from signoff.api.operation_messages import (
    BulkOperation,
    BulkResult,
    ChangePriority,
    OperationAccepted,
    RetryRun,
    SkipStep,
    SteerRun,
)
from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.core.actors import Actor
from signoff.runtime.client.operations import Operation, operate

router = APIRouter(prefix="/v1/runs", tags=["runs"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute)

OnceKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="The same key does it to this run once, however often it is asked.",
    ),
]

DOCUMENTED = documented(400, 403, 404, 409, 413)


@router.post(
    "/{run_id}/cancel", operation_id="cancelRun", summary="Cancel a run", status_code=202, responses=DOCUMENTED
)
async def cancel(
    run_id: UUID, body: SteerRun, services: ServicesOf, actor: ActorOf, key: OnceKey = None
) -> OperationAccepted:
    """Nothing new starts, effects under way settle, and what was done is undone in reverse."""
    return await _operate(services, actor, run_id, Operation("cancel", body.reason, key=key))


@router.post(
    "/{run_id}/terminate", operation_id="terminateRun", summary="End a run at once", status_code=202,
    responses=DOCUMENTED,
)  # fmt: skip
async def terminate(
    run_id: UUID, body: SteerRun, services: ServicesOf, actor: ActorOf, key: OnceKey = None
) -> OperationAccepted:
    """End it without undoing anything. Open reviews are withdrawn; `run.ended` names effects in doubt."""
    return await _operate(services, actor, run_id, Operation("terminate", body.reason, key=key))


@router.post("/{run_id}/pause", operation_id="pauseRun", summary="Pause a run", status_code=202, responses=DOCUMENTED)
async def pause(
    run_id: UUID, body: SteerRun, services: ServicesOf, actor: ActorOf, key: OnceKey = None
) -> OperationAccepted:
    """Nothing new begins, and what is under way ends. Reviews can be decided and messages arrive; they wait."""
    return await _operate(services, actor, run_id, Operation("pause", body.reason, key=key))


@router.post(
    "/{run_id}/resume", operation_id="resumeRun", summary="Resume a paused run", status_code=202, responses=DOCUMENTED
)
async def resume(
    run_id: UUID, body: SteerRun, services: ServicesOf, actor: ActorOf, key: OnceKey = None
) -> OperationAccepted:
    """It goes on where it was. The time of the pause does not count against its time limit."""
    return await _operate(services, actor, run_id, Operation("resume", body.reason, key=key))


@router.post(
    "/{run_id}/retry", operation_id="retryRun", summary="Retry a run that failed", status_code=202,
    responses=DOCUMENTED,
)  # fmt: skip
async def retry(
    run_id: UUID, body: RetryRun, services: ServicesOf, actor: ActorOf, key: OnceKey = None
) -> OperationAccepted:
    """A failed, cancelled or terminated run goes on with what broke; a step that waits for its next try tries now."""
    operation = Operation("retry", body.reason, step=body.step, pause=body.pause, priority=body.priority, key=key)
    return await _operate(services, actor, run_id, operation)


@router.post("/{run_id}/skip", operation_id="skipStep", summary="Skip a step", status_code=202, responses=DOCUMENTED)
async def skip(
    run_id: UUID, body: SkipStep, services: ServicesOf, actor: ActorOf, key: OnceKey = None
) -> OperationAccepted:
    """The step ends `bypassed`: steps that require it or read its data are blocked. Not with an effect in doubt."""
    return await _operate(services, actor, run_id, Operation("skip", body.reason, step=body.step, key=key))


@router.post(
    "/{run_id}/priority", operation_id="prioritiseRun", summary="Change a run's priority", status_code=202,
    responses=DOCUMENTED,
)  # fmt: skip
async def prioritise(
    run_id: UUID, body: ChangePriority, services: ServicesOf, actor: ActorOf, key: OnceKey = None
) -> OperationAccepted:
    """From now on it is claimed before runs of a higher number."""
    operation = Operation("priority", body.reason, priority=body.priority, key=key)
    return await _operate(services, actor, run_id, operation)


@router.post(
    "/bulk", operation_id="operateRuns", summary="Do something to many runs", responses=documented(400, 403, 409, 413)
)
async def bulk(body: BulkOperation, services: ServicesOf, actor: ActorOf, key: OnceKey = None) -> BulkResult:
    """One batch of the runs that a filter finds, newest first. Go on with `next`; the same key doubles nothing."""
    return await operate_batch(services, actor, body, key)


async def _operate(services: Services, actor: Actor, run_id: UUID, operation: Operation) -> OperationAccepted:
    run = await services.permitted_run(actor, ACTIONS[operation.name], run_id, step=_skipped(operation))
    await check_step(services, actor, run, operation)
    async with services.commanding(actor, run_id) as connection:
        asked = await operate(connection, actor, run_id, operation, now=services.now())
    return OperationAccepted(run_id=run_id, message_id=asked.message_id, again=asked.again)


def _skipped(operation: Operation) -> str | None:
    return operation.step if operation.name == "skip" else None
