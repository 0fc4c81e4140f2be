"""A person's word on an effect is bound to the try that it is about, and held to the tool's contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from support.engine import (
    ACTOR,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    journal,
    lost,
    running,
    send,
    start,
    until,
    waits_for,
)

from signoff.core.errors import ConflictError, StepError
from signoff.foundation.database import Database
from signoff.runtime.client.resolutions import bound_resolution
from signoff.runtime.handlers import Done, Effect, StepCall

PAY = "steps:\n  pay: {tool: pay, with: {}}\noutcome: {ok: pay.done}\n"
KIND = "effect.resolution"
HAPPENED: dict[str, Any] = {"resolution": "happened", "output": {}}


async def test_a_copy_in_the_inbox_when_the_next_question_begins_answers_it_not(database: Database):
    """The copy is sent before the second wait and taken out of the inbox after it has begun."""
    flow = compiled("copy", PAY, pay=True)
    retry: dict[str, Any] = {"resolution": "retry", "attempt": 1}

    async def pay(call: StepCall) -> Done:
        if call.attempt == 2:
            await send(database, call.run.run_id, "pay", retry, KIND)
        return lost(call)

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        asked = await until(database, run_id, waits_for("outcome_unknown"))
        assert [entry["attempt"] for entry in asked.waiting_for] == [1]
        await send(database, run_id, "pay", retry, KIND)
        await eventually(lambda: taken(database, run_id, 2))
        asked = await until(database, run_id, waits_for("outcome_unknown"))
        assert [entry["attempt"] for entry in asked.waiting_for] == [2]
        assert len(tool.calls) == 2
        await send(database, run_id, "pay", {**HAPPENED, "attempt": 2}, KIND)
        assert (await ended(database, run_id)).outcome == "ok"
    assert len(tool.calls) == 2


async def test_a_resolution_is_bound_to_what_is_asked_when_it_is_sent(database: Database):
    flow = compiled("bound", PAY, pay=True)
    tool = ScriptedTool({"pay": lost}, {"pay": Effect("ask")})
    run_id = await start(database, flow, {})
    with pytest.raises(ConflictError, match="nobody asks"):
        await bound(database, run_id, {"resolution": "retry"})
    async with running(database, [flow], tool):
        await until(database, run_id, waits_for("outcome_unknown"))
    assert await bound(database, run_id, {"resolution": "retry"}) == {"resolution": "retry", "attempt": 1}
    assert await bound(database, run_id, {"resolution": "retry", "attempt": 1}) == {"resolution": "retry", "attempt": 1}
    with pytest.raises(ConflictError, match="try 7"):
        await bound(database, run_id, {"resolution": "retry", "attempt": 7})


async def test_what_a_person_states_meets_the_contract_however_it_came(database: Database):
    """The API checks it while the person can correct it; the engine does not rest on that."""
    flow = compiled("contract", PAY, pay=True)

    def check(output: Mapping[str, Any]) -> None:
        if not isinstance(output.get("id"), str):
            raise StepError("'id' is a text", kind="contract")

    tool = ScriptedTool({"pay": lost}, {"pay": Effect("ask")}, answers={"pay": check})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        await send(database, run_id, "pay", {"resolution": "happened", "output": {"id": 7}}, KIND)
        await eventually(lambda: taken(database, run_id, 1))
        await until(database, run_id, waits_for("outcome_unknown"))
        said = [event.data.get("error") for event in await journal(database, run_id) if event.kind == "step.waiting"]
        assert said[-1] == {"kind": "contract", "detail": "'id' is a text"}
        await send(database, run_id, "pay", {"resolution": "happened", "output": {"id": "r-7"}}, KIND)
        assert (await ended(database, run_id)).outcome == "ok"


async def bound(database: Database, run_id: UUID, data: Mapping[str, Any]) -> Mapping[str, Any]:
    async with database.transaction(ACTOR.org_id) as connection:
        return await bound_resolution(connection, ACTOR.org_id, run_id, "pay", data)


async def taken(database: Database, run_id: UUID, least: int) -> bool:
    """Whether so many messages were taken out of the inbox, and what followed of each is journaled."""
    events = await journal(database, run_id)
    return sum(event.kind != "message.received" and "message_id" in event.data for event in events) >= least
