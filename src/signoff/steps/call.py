"""The verb `call`: start a run of another workflow of the same release, and wait for its end, or not."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from signoff.catalog import Release
from signoff.core.errors import ConflictError, NotFoundError, StepError
from signoff.core.labels import Labels, read_fields
from signoff.core.money import Cost
from signoff.core.schemas import validate
from signoff.foundation.database import Connection, Database
from signoff.runtime.calls import CHILD_ENDED, SENDER, Child, ChildStart, end_told, find_child, start_child
from signoff.runtime.client import StartRequest, send_message
from signoff.runtime.handlers import Done, Message, ReleaseLoader, StepCall, Waiting
from signoff.runtime.reports import WAKE_CHANNEL
from signoff.runtime.settings import RuntimeSettings
from signoff.runtime.state import SETTLING
from signoff.steps.acting import ActingStep
from signoff.workflows.model import Workflow

CHILD = "child"
OVERDUE = "overdue"
USAGE = "call.usage"
"""The note that counts in the caller what the run that it called has used."""

_MESSAGES = UUID("2c0f5f0e-5b3a-5f43-8c58-1d7a3e6a9b03")
_GENERATION = 1000  # more tries than one generation of a step has

Permit = Callable[[StepCall, Workflow], Awaitable[None]]


class CallStep(ActingStep):
    """Starts one run per try of the step. Its end arrives as a message that was written with that end.

    Args:
        database: where runs are.
        releases: finds the workflow in the release that the run pinned.
        permit: asks policy whether the run may start it; raises StepError where not.
        settings: how deep calls may go.
    """

    verb = "call"
    visible = True

    def __init__(
        self,
        database: Database,
        releases: ReleaseLoader,
        *,
        permit: Permit,
        settings: RuntimeSettings | None = None,
    ) -> None:
        self._database = database
        self._releases = releases
        self._permit = permit
        self._depth = (settings or RuntimeSettings()).call_depth

    async def permit(self, call: StepCall) -> None:
        """Policy's answer to `run.start` of that workflow, the depth of calls, and whether there is anything to spend.

        Raises:
            StepError: kind `forbidden`, `too_deep` or `budget`.
        """
        if call.run.depth >= self._depth:
            raise StepError(f"{self._depth} runs have called one another; no more may", kind="too_deep")
        left = _left(call)
        if left is not None and left.micro_usd <= 0:
            raise StepError(f"The run has spent its {call.run.cost_limit}: it may call no other", kind="budget")
        await self._permit(call, await self._workflow(call))

    async def execute(self, call: StepCall) -> Done | Waiting:
        """Start the run, or find the one that this try has started."""
        workflow = await self._workflow(call)
        value: Mapping[str, Any] = call.arguments.get("with", {})
        problems = validate(workflow.input_schema, value)
        if problems:
            raise StepError(f"The input does not fit '{workflow.name}'", kind="arguments", problems=problems)
        detached = bool(call.step.settings.get("detach"))
        async with self._database.transaction(call.run.org_id) as connection:
            child = await start_child(
                connection, _start(call, workflow, value, detached=detached), now=call.clock.now()
            )
        await self._database.notify(WAKE_CHANNEL, "")
        if detached:
            return Done({"run_id": str(child.run_id)})
        if child.end is not None:
            return _result(call, end_told(child.run_id, child.end, child.usage))
        return _waiting(call, child)

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:
        """The run that was called has ended, or the step's time is over: then it is cancelled and its end waited for.

        Raises:
            StepError: kind `child_failed`, or `timeout`; another try may begin after either.
        """
        if message is None:
            child = await self._cancel(call)
            if child is None:
                raise _overdue(call)
            about = f"run {child.run_id} of '{call.step.target}' did not end in time and is being cancelled"
            return Waiting(CHILD, None, {"run_id": str(child.run_id), OVERDUE: True}, about)
        told = message.data
        if message.kind != CHILD_ENDED or message.sent_by != SENDER or told.get("attempt") != _attempt(call):
            return waiting
        return _result(call, told, overdue=bool(waiting.state.get(OVERDUE)))

    async def withdraw(self, call: StepCall, waiting: Waiting) -> Waiting | None:
        """Cancel the run that was called, and wait for its end; `on_cancel: leave` lets it go on by itself."""
        del waiting
        child = await self._cancel(call)
        if child is None:
            return None
        return Waiting(SETTLING, about=f"run {child.run_id} of '{call.step.target}' is being cancelled")

    async def _cancel(self, call: StepCall) -> Child | None:
        if call.step.settings.get("on_cancel") == "leave" or call.step.settings.get("detach"):
            return None
        run, asked = call.run, None
        async with self._database.transaction(run.org_id) as connection:
            while (child := await find_child(connection, run.run_id, call.path, _attempt(call))) is not None:
                if child.run_id == asked:
                    return child  # it has ended: that it did is in this run's inbox
                if await _asked_to_end(connection, call, child):
                    break
                asked = child.run_id  # it has ended, or goes on as another run from now on
        if child is not None:
            await self._database.notify(WAKE_CHANNEL, str(child.run_id))
        return child

    async def _workflow(self, call: StepCall) -> Workflow:
        try:
            return await self._releases.workflow(call.run.org_id, call.run.release, call.step.target)
        except NotFoundError as error:
            raise StepError(error.detail, kind="misconfigured") from error


async def _asked_to_end(connection: Connection, call: StepCall, child: Child) -> bool:
    """Whether the run that was called is there to be cancelled."""
    run_id = call.run.run_id
    try:
        await send_message(
            connection,
            org_id=call.run.org_id,
            run_id=child.run_id,
            path="",
            kind="run.cancel",
            data={"reason": f"the run that called it, {run_id}, does not wait for it any more"},
            sent_by=SENDER,
            now=call.clock.now(),
            message_id=uuid.uuid5(_MESSAGES, f"{child.run_id}/cancel"),
        )
    except (ConflictError, NotFoundError):
        return False
    return True


def _attempt(call: StepCall) -> int:
    return call.generation * _GENERATION + call.attempt


def _start(call: StepCall, workflow: Workflow, value: Mapping[str, Any], *, detached: bool) -> ChildStart:
    request = StartRequest(
        workflow=workflow,
        release=call.run.release,
        input=value,
        actor=call.run.started_by,
        priority=call.step.settings.get("priority") or 5,
        project=call.release.project.name if isinstance(call.release, Release) else "",
        team=call.run.team,
    )
    labels = {name: call.argument_labels.get(name, call.labels) for name in value}
    left = None if detached else _left(call)
    control = call.labels if call.control is None else call.control
    return ChildStart(request, call.run, call.path, _attempt(call), detached, labels, left, control)


def _left(call: StepCall) -> Cost | None:
    """What the run may still spend, itself and by those that it calls; none where it has no limit."""
    limit = call.run.cost_limit
    return None if limit is None else Cost(limit.micro_usd - call.spent.cost.micro_usd)


def _overdue(call: StepCall) -> StepError:
    return StepError(f"'{call.step.target}' did not end in time", kind="timeout", retryable=True)


def _waiting(call: StepCall, child: Child) -> Waiting:
    timeout_s = call.step.timeout_s
    until = None if timeout_s is None else call.clock.now() + timedelta(seconds=timeout_s)
    about = f"run {child.run_id} of '{call.step.target}'"
    return Waiting(CHILD, until, {"run_id": str(child.run_id)}, about)


def _result(call: StepCall, told: Mapping[str, Any], *, overdue: bool = False) -> Done:
    """What the run came to. Nothing is awaited in here: its usage is counted with the end of the try, or not at all.

    Raises:
        StepError: it did not end done: kind `child_failed`; or `timeout`, where it was cancelled for taking too long.
    """
    if told.get("usage"):
        call.record(USAGE, {"run_id": told["run_id"], "usage": told["usage"]})
    if told["status"] != "done":
        if overdue:
            raise _overdue(call)
        error: Mapping[str, Any] = told.get("error") or {}
        reason = error.get("detail") or error.get("kind") or "no reason is known"
        detail = f"run {told['run_id']} of '{call.step.target}' is {told['status']}: {reason}"
        # Whoever cancelled or terminated it does not want it to begin again.
        raise StepError(detail, kind="child_failed", retryable=told["status"] == "failed")
    output = {"run_id": told["run_id"], "outcome": told["outcome"], "output": told.get("output", {})}
    source = Labels(sources=frozenset({f"workflow:{call.step.target}"}))
    labels = source.join(Labels.from_dict(told.get("labels") or {}))
    fields = {("run_id",): source, **read_fields(labels, told.get("fields") or {})}
    return Done(output, labels, fields=fields if "fields" in told else {})
