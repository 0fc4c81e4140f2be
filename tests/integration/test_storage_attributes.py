"""Search attributes and words from a run's journal into the tables that searches read."""

from __future__ import annotations

import psycopg
import pytest
from support.engine import (
    ACTOR,
    RELEASE,
    ScriptedTool,
    compiled,
    ended,
    journal,
    running,
    send,
    start,
    until,
    waits_for,
)
from support.operations import do

from signoff.core.clock import SystemClock
from signoff.core.errors import InvalidError, StepError
from signoff.foundation.database import Database
from signoff.runtime import StartRequest, start_run
from signoff.runtime.client.searching import find_runs, parse_filter
from signoff.runtime.handlers import Done, StepCall, Waiting

FLOW = """
steps:
  look: {tool: doc.look, with: {n: "${input.n}"}}
  ask: {tool: doc.ask, with: {n: 1}}
  pay: {tool: doc.pay, with: {n: "${ask.answer}"}, when: "look.cents > 0"}
outcome: {paid: pay.done, not_paid: "true"}
attributes:
  n: "${input.n}"
  customer: {value: "${look.customer}", type: text}
  cents: {value: "${look.cents}", type: integer}
  rate: {value: "${look.rate}", type: number}
  express: {value: "${look.express}", type: boolean}
  due: {value: "${look.due}", type: timestamp}
  gone: {value: "${pay.receipt}", type: text}
"""
LOOK = {"customer": "Ana Lopez", "cents": 1250, "rate": 0.5, "express": True, "due": "2026-12-01T00:00:00Z"}


def waiting(call: StepCall) -> Waiting:
    return Waiting(kind="signal", about="a person")


async def found(database: Database, text: str) -> int:
    async with database.transaction(ACTOR.org_id) as connection:
        return len(await find_runs(connection, ACTOR.org_id, parse_filter(text, now=SystemClock().now())))


async def test_attributes_are_journaled_once_and_found_while_the_run_waits(database: Database):
    flow = compiled("searched", FLOW, doc__look=False, doc__ask=False, doc__pay=False)
    tool = ScriptedTool({"doc.look": lambda call: Done(LOOK), "doc.ask": waiting, "doc.pay": lambda call: Done({})})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {"n": 7})
        await until(database, run_id, waits_for("signal"))
        for text in (
            "n = 7",
            "customer = 'Ana Lopez'",
            "customer ^= 'Ana'",
            "cents > 1000 and cents < 2000",
            "rate = 0.5",
            "express = true",
            "due >= '2026-12-01'",
            "text ~ 'lopez'",
            "class >= 'internal'",
        ):
            assert await found(database, text) == 1, text
        assert await found(database, "gone ^= ''") == 0
        await send(database, run_id, "ask", {"answer": 1})
        await ended(database, run_id)
    events = [event for event in await journal(database, run_id) if event.kind == "run.attributes"]
    names = [name for event in events for name in event.data["attributes"]]
    assert sorted(names) == ["cents", "customer", "due", "express", "n", "rate"]


async def test_what_a_start_gives_is_found_at_once_and_stays(database: Database, database_url: str):
    flow = compiled("searched", FLOW, doc__look=False, doc__ask=False, doc__pay=False)
    given = {"customer": "Bo", "ticket": "T-4711 urgent", "weight": 1.5, "vip": False}
    async with database.transaction(ACTOR.org_id) as connection:
        request = StartRequest(flow, RELEASE, {"n": 1}, ACTOR, attributes=given)
        run_id = (await start_run(connection, request, now=SystemClock().now())).run_id
    for text in ("customer = 'Bo'", "ticket ^= 'T-4711'", "weight = 1.5", "vip = false", "text ~ 'urgent bo'"):
        assert await found(database, text) == 1, text
    tool = ScriptedTool({"doc.look": lambda call: Done(LOOK), "doc.ask": waiting, "doc.pay": lambda call: Done({})})
    async with running(database, [flow], tool):
        await until(database, run_id, waits_for("signal"))
    with psycopg.connect(database_url) as connection:
        query = "SELECT text_value FROM run_attribute WHERE run_id = %s AND name = 'customer'"
        assert connection.execute(query, (run_id,)).fetchone() == ("Bo",)


@pytest.mark.parametrize(
    "given", [{"a b": "x"}, {"x" * 64: 1}, {"n": 2**63}, {"n": [1]}, {"é": 1}, {f"a{n}": 1 for n in range(33)}]
)
async def test_attributes_that_cannot_be_searched_are_refused(database: Database, given: dict[str, object]):
    flow = compiled("searched", FLOW, doc__look=False, doc__ask=False, doc__pay=False)
    async with database.transaction(ACTOR.org_id) as connection:
        request = StartRequest(flow, RELEASE, {"n": 1}, ACTOR, attributes=given)  # type: ignore[arg-type]
        with pytest.raises(InvalidError, match="attributes are wrong"):
            await start_run(connection, request, now=SystemClock().now())


async def test_a_failed_run_is_found_by_the_words_of_its_error(database: Database):
    flow = compiled("searched", FLOW, doc__look=False, doc__ask=False, doc__pay=False)

    def refused(call: StepCall) -> Done:
        raise StepError("the card 4711 was refused by Banco\0Sol", kind="card_refused")

    tool = ScriptedTool({"doc.look": refused, "doc.ask": waiting, "doc.pay": refused})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {"n": 7})
        assert (await ended(database, run_id)).status == "failed"
    for text in ("text ~ 'banco'", "text ~ 'card refused 4711'", "text ~ 'searched' and status = 'failed'"):
        assert await found(database, text) == 1, text
    assert await found(database, "text ~ 'accepted'") == 0


@pytest.mark.parametrize("end", ["failed", "cancelled", "terminated"])
async def test_a_run_that_ends_badly_before_it_ever_rested_is_found_by_its_attributes(database: Database, end: str):
    """What fails at once is what is looked for most; it had none, as attributes were journaled at rests alone."""
    flow = compiled("badly", FLOW, doc__look=False, doc__ask=False, doc__pay=False)

    def refuse(call: StepCall) -> Done:
        raise StepError("no such document", kind="refused")

    tool = ScriptedTool({"doc.look": refuse, "doc.ask": waiting, "doc.pay": lambda call: Done({})})
    run_id = await start(database, flow, {"n": 11})
    if end != "failed":
        await do(database, run_id, end.removesuffix("led").removesuffix("d"))
    async with running(database, [flow], tool):
        run = await ended(database, run_id)
        assert run.status == end
        assert await found(database, f"n = 11 and status = '{end}'") == 1
