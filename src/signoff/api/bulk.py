"""One operation on many runs, a batch at a time.

A batch is bounded, so that no request runs for minutes; whoever asks goes on from the cursor, also after a crash. Each
run is a transaction of its own: one that refuses stops none of the others. With an `Idempotency-Key` a batch that is
asked for again does nothing twice.
"""

from __future__ import annotations

from typing import Literal

from signoff.api.operating import ACTIONS, check_step
from signoff.api.operation_messages import BulkItem, BulkOperation, BulkResult
from signoff.api.services import Services
from signoff.core.actors import Actor
from signoff.core.errors import ForbiddenError, InvalidError, Problem, SignoffError, UnavailableError
from signoff.runtime.client import RunSummary
from signoff.runtime.client.operations import Operation, check, operate
from signoff.runtime.client.searching import RunFilter, find_runs, parse_filter

COUNTED = 1000
"""The matching runs are counted no further: of each, policy is asked whether it may be read."""


async def operate_batch(services: Services, actor: Actor, body: BulkOperation, key: str | None) -> BulkResult:
    """Do it to the runs of one batch, or only say which they are.

    Raises:
        InvalidError: the filter cannot be read, or the operation misses what it needs.
    """
    wanted = parse_filter(body.filter, now=services.now())
    _check(body)
    async with services.database.transaction(actor.org_id) as connection:
        runs = await find_runs(connection, actor.org_id, wanted, before=body.cursor, limit=body.limit + 1)
    batch = runs[: body.limit]
    # Whoever may not read a run is not told of it here either: a filter that finds it, or counts it, would tell what is
    # in it.
    readable = [run for run in batch if await services.access.may_read_run(actor, run)]
    matched, counted = (None, None) if body.cursor is not None else await count_readable(services, actor, wanted)
    items = [await _one(services, actor, run, body, key) for run in readable]
    after = batch[-1].run_id if len(runs) > body.limit else None
    return BulkResult(matched=matched, counted_up_to=counted, items=items, next=after)


async def count_readable(services: Services, actor: Actor, wanted: RunFilter) -> tuple[int, int | None]:
    """How many of the runs that match the actor may read; and how many were looked at, where there may be more."""
    async with services.database.transaction(actor.org_id) as connection:
        runs = await find_runs(connection, actor.org_id, wanted, limit=COUNTED)
    matched = sum([await services.access.may_read_run(actor, run) for run in runs])
    return matched, COUNTED if len(runs) == COUNTED else None


def _check(body: BulkOperation) -> None:
    missing = {
        "skip": (body.step is None or not body.reason, "/step", "A skip names the step and says why."),
        "priority": (body.priority is None, "/priority", "Which priority, from 1 to 9?"),
    }
    wrong, pointer, detail = missing.get(body.operation, (False, "", ""))
    if wrong:
        raise InvalidError(detail, problems=[Problem(detail, pointer=pointer, code="missing")])


async def _one(services: Services, actor: Actor, run: RunSummary, body: BulkOperation, key: str | None) -> BulkItem:
    """What becomes of one run; only a database that is away ends the batch."""
    result: Literal["asked", "would", "refused", "forbidden"]
    try:
        result, detail = await _done(services, actor, run, body, key)
    except UnavailableError:
        raise
    except SignoffError as error:
        result, detail = "forbidden" if isinstance(error, ForbiddenError) else "refused", error.detail
    return BulkItem(run_id=run.run_id, workflow=run.workflow, status=run.status, result=result, detail=detail)


async def _done(
    services: Services, actor: Actor, run: RunSummary, body: BulkOperation, key: str | None
) -> tuple[Literal["asked", "would"], str]:
    operation = Operation(
        body.operation, body.reason, step=body.step, pause=body.pause, priority=body.priority, key=key
    )
    skipped = body.step if body.operation == "skip" else None
    await services.access.require_run(actor, ACTIONS[operation.name], run, step=skipped)
    await check_step(services, actor, run, operation)
    if body.dry_run:
        async with services.database.transaction(actor.org_id) as connection:
            await check(connection, actor, run.run_id, operation, now=services.now())
        return "would", ""
    async with services.commanding(actor, run.run_id) as connection:
        await operate(connection, actor, run.run_id, operation, now=services.now())
    return "asked", ""
