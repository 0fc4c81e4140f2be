"""The verb `wait`: for some time, for a moment, or for an event from outside. The run leaves memory meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from signoff.catalog import Release
from signoff.core.errors import StepError
from signoff.core.labels import Labels, Trust
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Message, StepCall, Waiting
from signoff.runtime.waits import EVENT, TakenEvent, WaitKey, close_wait, open_wait, withdraw_wait
from signoff.runtime.waits.posting import SENDER
from signoff.steps.acting import ActingStep

TIME = "time"
"""The kind of wait that is for a moment alone."""


class WaitStep(ActingStep):
    """Waits. An event may have come before; one that comes is in the run's inbox with the transaction that took it."""

    verb = "wait"
    visible = True

    def __init__(self, database: Database) -> None:
        self._database = database

    async def execute(self, call: StepCall) -> Done | Waiting:
        """Begin to wait, or take the event that has come already."""
        if not call.step.target:
            until = _moment(call)
            return Waiting(TIME, until, {"until": until.isoformat()}, f"it goes on at {until.isoformat()}")
        async with self._database.transaction(call.run.org_id) as connection:
            taken = await open_wait(connection, _key(call), now=call.clock.now())
        if taken is not None:
            return _done(call, taken.data)
        timeout_s = call.step.timeout_s
        until = None if timeout_s is None else call.clock.now() + timedelta(seconds=timeout_s)
        match = ", ".join(f"{name} {value!r}" for name, value in _match(call).items())
        return Waiting(EVENT, until, {}, f"event {call.step.target}" + (f" with {match}" if match else ""))

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:
        """The moment has come, or the event has; anything else that is sent to it is passed over."""
        if waiting.kind != EVENT:
            return Done({}) if message is None else waiting
        if message is None:
            taken = await self._close(call)
            if taken is not None:
                return _done(call, taken.data)  # it came while the time ran out
            if call.step.settings.get("on_timeout") == "continue":
                return Done({}, result="timed_out", readable=False)
            raise StepError(f"no event {call.step.target} came in time", kind="timeout")
        if message.kind != EVENT or message.sent_by != SENDER:
            return waiting
        await self._close(call)
        return _done(call, message.data)

    def passed(self, waiting: Waiting) -> Done | None:
        """The moment has come: all that a wait for time waits for."""
        return Done({}) if waiting.kind == TIME else None

    async def withdraw(self, call: StepCall, waiting: Waiting) -> None:  # noqa: ARG002  (the protocol has it)
        """Nobody waits any more."""
        if call.step.target:
            async with self._database.transaction(call.run.org_id) as connection:
                await withdraw_wait(connection, _key(call))

    async def _close(self, call: StepCall) -> TakenEvent | None:
        async with self._database.transaction(call.run.org_id) as connection:
            return await close_wait(connection, _key(call))


def _key(call: StepCall) -> WaitKey:
    run = call.run
    return WaitKey(
        org_id=run.org_id,
        project=call.release.project.name if isinstance(call.release, Release) else "",
        run_id=run.run_id,
        chain_id=run.chain_id or run.run_id,
        since=run.chain_started_at or run.started_at,
        path=call.path,
        type=call.step.target,
        match=_match(call),
    )


def _match(call: StepCall) -> Mapping[str, Any]:
    return call.arguments.get("match", {})


def _done(call: StepCall, event: Mapping[str, Any]) -> Done:
    """The event's data, which whoever sent it has chosen; labels of what another run emitted follow it."""
    labels = Labels(trust=Trust.UNTRUSTED, sources=frozenset({f"event:{call.step.target}"}))
    emitted = event.get("labels")
    return Done({"event": event["data"]}, labels if emitted is None else labels.join(Labels.from_dict(emitted)))


def _moment(call: StepCall) -> datetime:
    """When a wait for time is over.

    Raises:
        StepError: the text is no moment.
    """
    duration_s = call.step.settings.get("duration_s")
    if duration_s is not None:
        return call.clock.now() + timedelta(seconds=duration_s)
    text = call.arguments["until"]
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise StepError(f"'{str(text)[:100]}' is no moment as of RFC 3339", kind="arguments") from error
    if moment.tzinfo is None:
        raise StepError(f"'{text}' has no time zone, such as Z or +02:00", kind="arguments")
    return moment
