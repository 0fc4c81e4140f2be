"""Groups: steps within steps, each iteration a scope of its own, across crashes and parking."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.crashing import crashing, folded, kinds
from tests.support.engine import ScriptedTool, compiled, ended, eventually, journal, running, send, start, until

from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect, StepCall, Waiting

LINES = """
steps:
  lines:
    for: ${input.items}
    as: line
    at_once: 2
    failures: FAILURES
    steps:
      price: {tool: shop.price, with: {sku: "${line}", place: "${index}"}}
      twice: {set: {cents: "${price.cents * 2}"}}
    give: {sku: "${line}", cents: "${twice.cents}"}
  total: {set: {count: "${lines.count}", failed: "${size(lines.failed)}"}}
outcome:
  priced: {when: total.done, give: {items: "${lines.items}", failed: "${lines.failed}", count: "${total.count}"}}
"""


def price(call: StepCall) -> Done:
    sku = call.arguments["with"]["sku"]
    if sku == "bad":
        raise StepError("no such thing", kind="not_found")
    return Done({"cents": len(sku)})


async def output(database: Database, run_id: Any) -> Any:
    return (await folded(database, run_id)).end


async def test_items_come_back_in_order_and_few_at_once(database: Database) -> None:
    under_way, most = 0, 0

    async def slow(call: StepCall) -> Done:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.03 - 0.005 * call.arguments["with"]["place"])
        under_way -= 1
        return price(call)

    workflow = compiled("each", LINES.replace("FAILURES", "fail"), shop__price=False)
    tool = ScriptedTool({"shop.price": slow})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {"items": ["a", "bb", "ccc", "dddd", "eeeee"]})
        assert (await ended(database, run_id)).outcome == "priced"
    end = await output(database, run_id)
    assert end["output"]["items"] == [{"sku": "abcde"[n] * (n + 1), "cents": 2 * (n + 1)} for n in range(5)]
    assert end["output"]["count"] == 5
    assert most == 2
    assert {call.path for call in tool.calls} == {f"lines[{n}]/price" for n in range(5)}


async def test_failed_items_are_collected(database: Database) -> None:
    workflow = compiled("collected", LINES.replace("FAILURES", "collect"), shop__price=False)
    async with running(database, [workflow], ScriptedTool({"shop.price": price})):
        run_id = await start(database, workflow, {"items": ["a", "bad", "ccc"]})
        assert (await ended(database, run_id)).outcome == "priced"
    output_ = (await output(database, run_id))["output"]
    assert output_["items"] == [{"sku": "a", "cents": 2}, None, {"sku": "ccc", "cents": 6}]
    assert [(entry["index"], entry["error"]["kind"]) for entry in output_["failed"]] == [(1, "not_found")]


async def test_a_failing_item_fails_the_group_and_the_run(database: Database) -> None:
    workflow = compiled("failing", LINES.replace("FAILURES", "fail"), shop__price=False)
    async with running(database, [workflow], ScriptedTool({"shop.price": price})):
        run_id = await start(database, workflow, {"items": ["a", "bad", "ccc", "dddd"]})
        run = await ended(database, run_id)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["step"] == "lines[1]/price"
    state = await folded(database, run_id)
    assert state.steps["lines"].state is not None
    assert state.steps["lines"].state.status == "failed"
    assert not state.open
    assert not state.busy


async def test_no_items_and_too_many(database: Database) -> None:
    workflow = compiled("sizes", LINES.replace("FAILURES", "fail\n    max: 3"), shop__price=False)
    async with running(database, [workflow], ScriptedTool({"shop.price": price})):
        none = await start(database, workflow, {"items": []})
        many = await start(database, workflow, {"items": list("abcd")})
        assert (await ended(database, none)).status == "done"
        run = await ended(database, many)
    assert run.error is not None
    assert run.error["kind"] == "too_many"


REPEAT = """
steps:
  poll:
    repeat: {ask: {tool: job.status, with: {seen: "${last.cursor}", turn: "${index}"}}}
    until: ask.state == 'ready'
    max: 5
    every: PAUSE
    start: {cursor: none}
    give: {cursor: "${ask.cursor}"}
outcome:
  ready: {when: poll.done, give: {cursor: "${poll.cursor}", turns: "${poll.turns}"}}
"""


@pytest.mark.parametrize("pause", ["10ms", "1500ms"])
async def test_repeat_goes_on_from_its_last_turn_and_pauses(database: Database, pause: str) -> None:
    def ask(call: StepCall) -> Done:
        turn = call.arguments["with"]["turn"]
        assert call.arguments["with"]["seen"] == ("none" if turn == 0 else f"c{turn - 1}")
        return Done({"state": "ready" if turn == 2 else "busy", "cursor": f"c{turn}"})

    workflow = compiled("poll", REPEAT.replace("PAUSE", pause), job__status=False)
    tool = ScriptedTool({"job.status": ask})
    async with crashing(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await eventually(lambda: len(tool.calls) >= 2)
    async with running(database, [workflow], tool):
        assert (await ended(database, run_id)).outcome == "ready"
    assert (await output(database, run_id))["output"] == {"cursor": "c2", "turns": 3}


async def test_a_pause_between_turns_leaves_memory_and_is_shown(database: Database) -> None:
    workflow = compiled("paused", REPEAT.replace("PAUSE", "1h"), job__status=False)
    tool = ScriptedTool({"job.status": lambda _: Done({"state": "busy", "cursor": "c"})})
    async with running(database, [workflow], tool) as worker:
        run_id = await start(database, workflow, {})
        run = await until(database, run_id, lambda run: run.status == "waiting")
        await eventually(lambda: worker.statistics["resident_runs"] == 0)
    assert [(entry["step"], entry["kind"]) for entry in run.waiting_for] == [("poll", "pause")]


async def test_repeat_reaches_its_most(database: Database) -> None:
    workflow = compiled("most", REPEAT.replace("    every: PAUSE\n", ""), job__status=False)
    tool = ScriptedTool({"job.status": lambda _: Done({"state": "busy", "cursor": "c"})})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        run = await ended(database, run_id)
    assert run.error is not None
    assert run.error["kind"] == "max_reached"
    assert len(tool.calls) == 5


NESTED = """
steps:
  base: {tool: shop.price, with: {sku: base}}
  orders:
    for: ${input.orders}
    as: order
    steps:
      tries:
        repeat:
          lines:
            for: ${order.lines}
            as: line
            steps:
              price: {tool: shop.price, with: {sku: "${line}"}}
              sum: {set: {cents: "${price.cents + base.cents + tries_offset.cents}"}}
            give: {cents: "${sum.cents}"}
          tries_offset: {set: {cents: "${index}"}}
        until: index >= 1
        give: {cents: "${lines.items.map(item, item.cents)}"}
      both: {do: {note: {set: {id: "${order.id}"}}}, give: {id: "${note.id}"}}
    give: {id: "${both.id}", cents: "${tries.cents}", turns: "${tries.turns}"}
outcome:
  all: {when: orders.done, give: {orders: "${orders.items}"}}
"""
ORDERS: list[dict[str, Any]] = [
    {"id": "o1", "lines": ["a", "bb"]},
    {"id": "o2", "lines": ["ccc"]},
    {"id": "o3", "lines": []},
]


@pytest.mark.parametrize("crashes", [0, 1, 3, 6])
async def test_nested_groups_come_to_the_same_after_any_crash(database: Database, crashes: int) -> None:
    workflow = compiled("nested", NESTED, shop__price=False)
    tool = ScriptedTool({"shop.price": price})
    run_id = await start(database, workflow, {"orders": ORDERS})
    for crash in range(crashes):
        async with crashing(database, [workflow], tool):

            def called(most: int = min(len(tool.calls), 6 + crash)) -> bool:
                return len(tool.calls) > most

            await eventually(called)
    async with running(database, [workflow], tool):
        assert (await ended(database, run_id)).outcome == "all"
    assert (await output(database, run_id))["output"]["orders"] == [
        {"id": "o1", "cents": [6, 7], "turns": 2},
        {"id": "o2", "cents": [8], "turns": 2},
        {"id": "o3", "cents": [], "turns": 2},
    ]
    ends = [event.data["step"] for event in await journal(database, run_id) if event.kind == "step.ended"]
    assert len(ends) == len(set(ends))
    state = await folded(database, run_id)
    assert not state.open
    assert not state.busy


UNDONE = """
steps:
  first: {tool: shop.act, with: {id: first}, undo: {tool: shop.back, with: {id: "${result.id}"}}}
  lines:
    after: first
    for: ${input.items}
    as: line
    at_once: 1
    steps:
      act: {tool: shop.act, with: {id: "${line}"}, undo: {tool: shop.back, with: {id: "${result.id}", n: "${index}"}}}
      note: {set: {of: "${act.id}"}}
    give: {of: "${note.of}"}
  final: {after: lines, tool: shop.break}
outcome: {done: final.done}
"""


async def test_what_completed_in_groups_is_undone_in_reverse_order(database: Database) -> None:
    def fails(call: StepCall) -> Done:
        raise StepError("broken", kind="broken")

    def echo(call: StepCall) -> Done:
        return Done({"id": call.arguments["with"]["id"]})

    workflow = compiled("undone", UNDONE, shop__act=True, shop__back=True, shop__break=False)
    effects = {"shop.act": Effect("resend"), "shop.back": Effect("resend")}
    tool = ScriptedTool({"shop.act": echo, "shop.back": echo, "shop.break": fails}, effects)
    run_id = await start(database, workflow, {"items": ["a", "b", "c"]})
    async with crashing(database, [workflow], tool):
        await eventually(lambda: any(call.path.endswith("/undo") for call in tool.calls))
    async with running(database, [workflow], tool):
        assert (await ended(database, run_id)).status == "failed"
    intended = [event for event in await journal(database, run_id) if event.kind == "effect.intended"]
    undone = dict.fromkeys(event.data["step"] for event in intended)  # one may be sent again after the crash
    assert [path for path in undone if path.endswith("/undo")] == [
        "lines[2]/act/undo",
        "lines[1]/act/undo",
        "lines[0]/act/undo",
        "first/undo",
    ]
    assert {call.arguments["with"]["n"] for call in tool.calls if "lines" in call.path and "undo" in call.path} == {
        0,
        1,
        2,
    }


WAITING = """
steps:
  asks:
    for: ${input.items}
    as: one
    steps:
      ask: {tool: ask.person, with: {who: "${one}"}}
    give: {answer: "${ask.answer}"}
outcome:
  asked: {when: asks.done, give: {answers: "${asks.items}"}}
"""


async def test_steps_of_groups_wait_park_and_take_messages(database: Database) -> None:
    workflow = compiled("waiting", WAITING, ask__person=False)
    tool = ScriptedTool({"ask.person": lambda call: Waiting("person", about=call.arguments["with"]["who"])})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {"items": ["ana", "ben"]})
        await until(database, run_id, lambda run: run.status == "waiting" and len(run.waiting_for) == 2)
        await send(database, run_id, "asks[1]/ask", {"answer": "no"})
    async with running(database, [workflow], tool):
        await until(database, run_id, lambda run: run.status == "waiting" and len(run.waiting_for) == 1)
        await send(database, run_id, "asks[0]/ask", {"answer": "yes"})
        await send(database, run_id, "asks[7]/other", {"answer": "yes"})
        await ended(database, run_id)
    assert (await output(database, run_id))["output"] == {"answers": [{"answer": "yes"}, {"answer": "no"}]}
    received = [event for event in await journal(database, run_id) if event.kind == "message.received"]
    assert [event.data["disposition"] for event in received if "other" in event.data["path"]] == ["unknown"]


async def test_a_group_that_is_over_its_time_ends_what_is_under_way(database: Database) -> None:
    body = WAITING.replace("    give: {answer", "    timeout: 1s\n    on_error: continue\n    give: {answer").replace(
        'asked: {when: asks.done, give: {answers: "${asks.items}"}}', "late: asks.result == 'failed'"
    )
    workflow = compiled("late", body, ask__person=False)
    tool = ScriptedTool({"ask.person": lambda call: Waiting("person", about="?")})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {"items": ["ana", "ben"]})
        assert (await ended(database, run_id)).outcome == "late"
    assert sorted(tool.withdrawn) == ["asks[0]/ask", "asks[1]/ask"]
    assert await kinds(database, run_id, "asks") == ["step.started", "step.waiting", "step.ended"]


async def test_cancelling_ends_what_is_under_way_in_groups(database: Database) -> None:
    workflow = compiled("cancelled", WAITING, ask__person=False)
    tool = ScriptedTool({"ask.person": lambda call: Waiting("person", about="?")})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {"items": ["ana", "ben"]})
        await until(database, run_id, lambda run: run.status == "waiting")
        await send(database, run_id, "", {"reason": "enough"}, kind="run.cancel")
        assert (await ended(database, run_id)).status == "cancelled"
    assert sorted(tool.withdrawn) == ["asks[0]/ask", "asks[1]/ask"]
    state = await folded(database, run_id)
    assert state.steps["asks"].state is not None
    assert state.steps["asks"].state.status == "cancelled"
