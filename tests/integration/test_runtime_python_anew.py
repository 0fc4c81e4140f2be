"""Workflows in Python that say what they are found by, and that begin anew with another input."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from support.engine import ScriptedTool, ended, journal, running, start
from support.python_workflows import python_workflow
from tests.support.crashing import folded

from signoff.core.labels import Labels, Trust
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect
from signoff.workflows.python import Context, RunOutcome

READ = ScriptedTool({"read": lambda call: Done({"n": call.arguments["with"]["n"]}, Labels(trust=Trust.UNTRUSTED))})


async def pages(ctx: Context, value: dict[str, Any]) -> Any:
    ctx.attributes(page=value["n"], due=datetime(2026, 3, 2, tzinfo=UTC))
    page = await ctx.tool("read", {"n": value["n"]}, name="page")
    ctx.attributes(page=page["n"] + 100)
    return ctx.outcome("ok", {"n": page["n"]}) if page["n"] == 3 else ctx.continue_as_new({"n": page["n"] + 1})


async def chain(database: Database, run_id: UUID) -> list[UUID]:
    """The run and those that it goes on as, once all have ended."""
    found = [run_id]
    while True:
        run = await ended(database, found[-1])
        if run.outcome != "continued":
            return found
        end = (await folded(database, found[-1])).end or {}
        found.append(UUID(end["output"]["run_id"]))


async def test_a_workflow_begins_anew_with_another_input_and_an_empty_journal(database: Database) -> None:
    workflow = python_workflow("pages", pages)
    async with running(database, [workflow], READ):
        run_id = await start(database, workflow, {"n": 1})
        runs = await chain(database, run_id)
    states = [await folded(database, found) for found in runs]
    assert [state.started["input"] for state in states] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert (states[-1].end or {})["output"] == {"n": 3}
    assert states[-1].started["continued_from"]["chain_id"] == str(run_id)
    begun = [event.data for event in await journal(database, runs[1]) if event.kind == "step.started"]
    assert begun[0]["labels"]["trust"] == "untrusted"  # the input was made from what the first run had read


async def test_what_the_code_says_of_the_run_is_what_it_is_found_by(database: Database) -> None:
    workflow = python_workflow("found", pages)
    async with running(database, [workflow], READ):
        (run_id,) = await chain(database, await start(database, workflow, {"n": 3}))
    state = await folded(database, run_id)
    assert state.attributes["page"] == {"type": "integer", "value": 103}
    assert state.attributes["due"] == {"type": "timestamp", "value": "2026-03-02T00:00:00+00:00"}
    async with database.worker_connection() as connection:
        rows = await connection.fetch("SELECT name, integer_value FROM run_attribute ORDER BY name")
    assert [(row["name"], row["integer_value"]) for row in rows] == [("due", None), ("page", 103)]


async def test_a_run_whose_effects_may_have_to_be_undone_does_not_begin_anew(database: Database) -> None:
    async def pays(ctx: Context, value: dict[str, Any]) -> Any:
        await ctx.tool("pay", undo=("back", lambda result: {}))
        return ctx.continue_as_new({})

    workflow, effects = python_workflow("pays", pays), {"pay": Effect("resend"), "back": Effect("resend")}
    tool = ScriptedTool({"pay": lambda call: Done({}), "back": lambda call: Done({})}, effects)
    async with running(database, [workflow], tool):
        run = await ended(database, await start(database, workflow, {}))
    assert (run.error or {})["kind"] == "continue"
    assert [call.step.target for call in tool.calls] == ["pay", "back"]


async def test_an_attribute_that_cannot_be_searched_fails_the_run(database: Database) -> None:
    async def odd(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        ctx.attributes(order={"id": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return ctx.outcome("ok")

    workflow = python_workflow("odd", odd)
    async with running(database, [workflow], READ):
        run = await ended(database, await start(database, workflow, {}))
    assert (run.error or {})["kind"] == "workflow_error"
