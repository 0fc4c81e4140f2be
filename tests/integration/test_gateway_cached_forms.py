"""Kept answers of streams and of tasks: given again in their form, found by those only who may, costing nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.answer_runs import project as run_project
from support.answer_runs import staged
from support.chat_cases import ASKED, HELLO, USAGE, ScriptedChat, models
from support.gateway_cases import GOOD, Answered, permit_all, task

from signoff.capabilities.gateway import ModelResult
from signoff.capabilities.gateway.asking import Asked, CallRecord, ChatError
from signoff.capabilities.gateway.caching import KeptAnswers
from signoff.capabilities.gateway.chat import ChatReply, ChatTool, StreamEnd, TextDelta, TextPart, ToolCallPart
from signoff.catalog.models import ModelsConfig
from signoff.core.clock import SystemClock
from signoff.core.errors import Problem
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.governance.policy import Obligation
from signoff.testing import ScriptedProvider

CALLER = replace(ASKED.caller, org_id=DEFAULT_ORG_ID)
CACHED = replace(ASKED, caller=CALLER, cached=True)
CALLS = ChatReply((TextPart("I look."), ToolCallPart("c1", "look", '{"at": "it"}')), "tool_calls", usage=USAGE)
PROMPT = """---
name: answer
version: 1.0.0
purpose: Says it again.
task: generate
cache: true
input: {type: object, properties: {text: {type: string}}, required: [text]}
output: {type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}
---
# user
{{ text }}
"""
STEPS = """steps:
  draft: {ai: answer@^1, with: {text: "${input.text}"}}
outcome: {answered: draft.done}
"""


def cached(database: Database, chat: ScriptedProvider) -> tuple[Any, ModelsConfig]:
    gateway, config = models(gateway={"cache": KeptAnswers(database, SystemClock())}, one=chat)
    return gateway, replace(config, routes=tuple(replace(route, task=None) for route in config.routes))


async def streamed(gateway: Any, config: Any, asked: Asked = CACHED, request: Any = HELLO, **more: Any) -> Any:
    stream = await gateway.stream(request, asked, config, decide=more.get("decide", permit_all))
    return [event async for event in stream], stream.record


async def test_a_stream_is_given_again_as_a_stream_and_costs_nothing(database: Database):
    chat = ScriptedChat(["It is on its way.", "Another."])
    gateway, config = cached(database, chat)
    first, _ = await streamed(gateway, config)
    again, record = await streamed(gateway, config)
    assert len(chat.chats) == 1
    words = ["".join(event.text for event in events if isinstance(event, TextDelta)) for events in (first, again)]
    assert words == ["It is on its way."] * 2
    assert isinstance(again[-1], StreamEnd)
    assert again[-1].reply == first[-1].reply
    assert (record.cached, record.usage.cost.micro_usd, record.tried, record.outcome) == (True, 0, (), "ok")
    # Whole answers and streams find the same.
    assert (await gateway.chat(HELLO, CACHED, config, decide=permit_all)).record.cached
    other = replace(CACHED, caller=replace(CALLER, principal="key/other"))
    events, record = await streamed(gateway, config, other)
    assert not record.cached
    assert events[-1].reply.text == "Another."


async def test_calls_of_tools_come_again_and_what_broke_does_not(database: Database):
    gateway, config = cached(database, ScriptedChat([CALLS]))
    request = replace(HELLO, tools=(ChatTool("look"),))
    await gateway.chat(request, CACHED, config, decide=permit_all)
    events, record = await streamed(gateway, config, request=request)
    assert record.cached
    assert [(one.name, one.arguments) for one in events if hasattr(one, "arguments")] == [("look", '{"at": "it"}')]
    cut = ScriptedChat([ChatReply((TextPart("Half"),), "length", usage=USAGE)])
    gateway, config = cached(database, cut)
    for _ in range(2):
        _, record = await streamed(gateway, config, replace(CACHED, sticky="s", model="one"))
        assert not record.cached


async def test_of_two_processes_that_stream_the_same_one_asks(database: Database):
    gate = asyncio.Event()
    end = StreamEnd(ChatReply((TextPart("Slow."),), "stop", usage=USAGE))
    slow, idle = ScriptedChat([[TextDelta("Slow."), gate, end]]), ScriptedChat(["Never."])
    one, other = cached(database, slow), cached(database, idle)
    first = asyncio.ensure_future(streamed(*one))
    await slow.asked.wait()
    second = asyncio.ensure_future(streamed(*other))
    await asyncio.sleep(0)
    gate.set()
    (_, mine), (events, theirs) = await asyncio.gather(first, second)
    assert (mine.cached, theirs.cached) == (False, True)
    assert events[-1].reply.text == "Slow."
    assert not idle.chats


async def test_who_leaves_a_stream_lets_the_next_one_ask(database: Database):
    gateway, config = cached(database, ScriptedChat(["One two three.", "Anew."]))
    stream = await gateway.stream(HELLO, CACHED, config, decide=permit_all)
    await stream.aclose()
    events, record = await streamed(gateway, config)
    assert not record.cached
    assert events[-1].reply.text == "Anew."


async def test_a_kept_answer_passes_the_permit_of_now(database: Database):
    gateway, config = cached(database, ScriptedChat(["See https://evil.test/x?d=NDExMSAxMTExIDExMTEgMTExMQ=="]))
    await streamed(gateway, config)

    def contains(_model: str, _attributes: Any, /) -> Answered:
        return Answered(permit=True, obligations=(Obligation("contain", "docs.example.com", "p"),))

    with pytest.raises(ChatError) as caught:
        await streamed(gateway, config, decide=contains)
    assert caught.value.reason == "content_filter"


class Records:
    def __init__(self) -> None:
        self.all: list[CallRecord] = []

    def record(self, record: CallRecord) -> None:
        self.all.append(record)


async def test_a_tasks_answer_is_given_again_where_it_still_holds(database: Database):
    model, records = ScriptedProvider([GOOD, GOOD, GOOD]), Records()
    gateway, config = models(gateway={"cache": KeptAnswers(database, SystemClock()), "recorder": records}, one=model)
    config = replace(config, routes=tuple(replace(route, task=None) for route in config.routes))
    asked = replace(CACHED, cached=False, task="classify", prompt="classify")

    async def done(**changes: Any) -> ModelResult:
        return await gateway.complete(task(cached=True, **changes), config, decide=permit_all, asked=asked)

    first, again = await done(), await done()
    assert (first.cached, again.cached) == (False, True)
    assert (again.output, again.model, again.usage.model_calls) == (GOOD, "one", 0)
    assert [(one.cached, one.usage.cost.micro_usd) for one in records.all] == [(False, 0), (True, 0)]

    def objects(_answer: Mapping[str, Any]) -> list[Problem]:
        return [Problem("No.")] if len(model.requests) == 1 else []

    refused = await done(checks=[objects])
    assert not refused.cached, "what a rule of today objects to is asked anew"
    assert not (await done(variables={"text": "Else."})).cached
    assert len(model.requests) == 3


async def test_a_step_whose_prompt_says_so_is_answered_again(database: Database):
    files = {
        **run_project(STEPS, prompts__answer_md=PROMPT),
        "models.yaml": "models: {a: {provider: scripted}}\nroutes: [{task: generate, use: [a]}]\n",
    }
    model = ScriptedProvider([{"text": "So it is."}])
    cache = KeptAnswers(database, SystemClock())
    async with staged(database, files, {"a": model}, cache=cache) as stage:
        outcomes: list[str] = []
        for _ in range(2):
            run_id = await stage.start()
            assert await stage.ended(run_id) == ("done", "answered")
            assert (await stage.step(run_id, "draft"))["output"] == {"text": "So it is."}
            outcomes += [fact["outcome"] for fact in await stage.facts(run_id, "model.call")]
    assert outcomes == ["ok", "cached"]
