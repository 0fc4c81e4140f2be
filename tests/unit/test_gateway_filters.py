"""Content filters before and after calls: what they block is a typed outcome, what they warn of a signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.chat_cases import ASKED, HELLO, ScriptedChat, models
from support.gateway_cases import GOOD, Answered, permit_all, task

from signoff.capabilities.gateway import GatewayError
from signoff.capabilities.gateway.asking import ChatError
from signoff.capabilities.gateway.chat import (
    ChatMessage,
    ChatTool,
    Part,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallPart,
)
from signoff.catalog.answer_contracts import FilterName, FilterUse, FilterVerdict
from signoff.catalog.screening import Screening, ScreeningSettings
from signoff.core.errors import StepError
from signoff.governance.policy import Obligation
from signoff.testing import ScriptedProvider

LONG = f"{'All is well with your order, dear customer. ' * 30}You utter NASTY fool! {'Bye. ' * 80}"


class Words:
    """Objects to a word of its settings, or to `NASTY`; counts what it read."""

    def __init__(self, *, broken: bool = False) -> None:
        self.read: list[str] = []
        self.broken = broken

    def objections(self, use: FilterUse, text: str, /) -> int:
        if self.broken:
            raise StepError(f"The service choked on {text}.", kind="filter_failed")
        self.read.append(text)
        return sum(text.count(word) for word in use.settings.get("words", ("NASTY",)))


def use(verdict: FilterVerdict = "block", name: FilterName = "toxicity", *words: str) -> FilterUse:
    return FilterUse(name, verdict, None, {"words": words} if words else {})


def screened(
    chat: ScriptedChat,
    *,
    before: tuple[FilterUse, ...] = (),
    after: tuple[FilterUse, ...] = (),
    held: int = 0,
    filters: Words | None = None,
) -> tuple[Any, Any]:
    gateway, config = models(gateway={"filters": filters or Words()}, one=chat, two=ScriptedChat(["Fine."]))
    return gateway, replace(config, screening=Screening(ScreeningSettings(held_characters=held), before, after))


def saying(text: str) -> Any:
    return replace(HELLO, messages=(ChatMessage("user", (TextPart(text),)),), max_output_tokens=None)


@pytest.mark.parametrize("part", [ToolCallPart("1", "find", '{"for": "N\\u0041STY"}'), ReasoningPart("NASTY", {})])
async def test_earlier_calls_and_thoughts_come_in_too(part: Part):
    chat = ScriptedChat(["Fine."])
    gateway, config = screened(chat, before=(use(),))
    request = replace(HELLO, messages=(*HELLO.messages, ChatMessage("assistant", (part,))))
    with pytest.raises(ChatError, match="content filter"):
        await gateway.chat(request, ASKED, config, decide=permit_all)
    assert not chat.chats


SCHEMA = {"type": "object", "properties": {"kind": {"enum": ["a", "NASTY"]}}}


@pytest.mark.parametrize(
    "change",
    [
        {"tools": (ChatTool("find", "Finds what is NASTY."),)},
        {"tools": (ChatTool("find", "Finds.", SCHEMA),)},
        {"output_schema": SCHEMA},
        {"stop": ("NASTY",)},
        {"vendor": {"safety": {"note": "NASTY"}}},
    ],
)
async def test_what_stands_beside_the_messages_comes_in_too(change: dict[str, Any]):
    chat = ScriptedChat(["Fine."])
    gateway, config = screened(chat, before=(use(),))
    with pytest.raises(ChatError, match="content filter"):
        await gateway.chat(replace(HELLO, **change), ASKED, config, decide=permit_all)
    assert not chat.chats


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_may_not_come_in_is_shown_to_nobody(*, streamed: bool):
    chat = ScriptedChat(["Fine."])
    gateway, config = screened(chat, before=(use(),))
    with pytest.raises(ChatError) as caught:
        await (gateway.stream if streamed else gateway.chat)(saying("NASTY!"), ASKED, config, decide=permit_all)
    assert (caught.value.kind, caught.value.reason) == ("model_filtered", "content_filter")
    assert "(toxicity) blocks" in caught.value.detail
    assert "NASTY" not in repr(caught.value.record)
    assert caught.value.record.signals["filters"] == [
        {"at": "in", "filter": "toxicity", "verdict": "block", "found": 1}
    ]
    assert not chat.chats
    assert (await gateway.chat(saying("Nice."), ASKED, config, decide=permit_all)).record.signals == {}


async def test_an_answer_that_may_not_leave_ends_as_filtered():
    gateway, config = screened(ScriptedChat(["You NASTY one."]), after=(use(),))
    result = await gateway.chat(saying("Hi."), ASKED, config, decide=permit_all)
    assert (result.reply.finish_reason, result.reply.parts) == ("content_filter", ())
    assert result.reply.usage.output_tokens == 5, "what it used is told"
    assert result.record.finish_reason == "content_filter"
    assert result.record.signals["filters"][0]["at"] == "out"


async def test_a_warning_is_recorded_and_stops_nothing():
    gateway, config = screened(ScriptedChat(["You NASTY one."]), before=(use("warn"),), after=(use("warn"),))
    result = await gateway.chat(saying("NASTY?"), ASKED, config, decide=permit_all)
    assert result.reply.text == "You NASTY one."
    assert [(one["at"], one["verdict"]) for one in result.record.signals["filters"]] == [
        ("in", "warn"),
        ("out", "warn"),
    ]
    stream = await gateway.stream(saying("NASTY?"), ASKED, config, decide=permit_all)
    first = await anext(stream)
    assert first == TextDelta("You "), "nothing is held back where nothing can be withheld"
    _ = [event async for event in stream]
    assert len(stream.record.signals["filters"]) == 2


@pytest.mark.parametrize("held", [0, 200])
async def test_a_stream_is_withheld_or_ends_as_filtered(held: int):
    gateway, config = screened(ScriptedChat([LONG]), after=(use(),), held=held)
    stream = await gateway.stream(saying("Hi."), ASKED, config, decide=permit_all)
    events = [event async for event in stream]
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    end = events[-1]
    assert isinstance(end, StreamEnd)
    assert (end.reply.finish_reason, end.failure) == ("content_filter", None)
    assert end.reply.text == shown, "the end has what was shown and nothing else"
    assert bool(shown) == bool(held)
    assert "NASTY" not in shown
    assert LONG.startswith(shown)
    assert stream.record.finish_reason == "content_filter"


@pytest.mark.parametrize("held", [0, 200])
async def test_a_stream_with_nothing_to_object_to_comes_whole(held: int):
    fair = LONG.replace("NASTY", "nice")
    filters = Words()
    gateway, config = screened(ScriptedChat([fair]), after=(use(),), held=held, filters=filters)
    stream = await gateway.stream(saying("Hi."), ASKED, config, decide=permit_all)
    events = [event async for event in stream]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == fair
    assert events[-1].reply.finish_reason == "stop"
    assert len(filters.read) < 20, "it reads on by what is held back, not by each word"


async def test_half_a_word_is_no_word():
    """What the window ends in may go on: a class is not what it begins with."""
    text = f"{'Well then, dear friend of ours, so be it. ' * 6}NASTYGRAM {'and so on it goes with more words. ' * 20}"
    gateway, config = screened(ScriptedChat([text]), after=(use("block", "toxicity", "NASTY "),), held=100)
    stream = await gateway.stream(saying("Hi."), ASKED, config, decide=permit_all)
    assert [event async for event in stream][-1].reply.finish_reason == "stop"


@pytest.mark.parametrize(("broken", "reason"), [(Words(broken=True), "unavailable"), (None, "forbidden")])
async def test_what_nobody_looked_at_does_not_pass(broken: Words | None, reason: str):
    chat = ScriptedChat(["Fine."])
    gateway, config = models(gateway={"filters": broken}, one=chat)
    config = replace(config, screening=Screening(before=(use(),)))
    with pytest.raises(ChatError) as caught:
        await gateway.chat(saying("My secret."), ASKED, config, decide=permit_all)
    assert caught.value.reason == reason
    assert "My secret" not in caught.value.detail, "a filter's own words may have what it read"
    assert not chat.chats


def demanding(value: str) -> Any:
    def decide(model: str, attributes: Mapping[str, Any], /) -> Answered:
        return Answered(permit=True, obligations=(Obligation("filter", value, "p"),))

    return decide


async def test_a_permit_may_demand_filters_and_then_they_block():
    gateway, config = screened(ScriptedChat(["You ugly one."]), after=(use("warn", "toxicity", "ugly"),))
    decide = demanding("in: secrets; out: toxicity")
    result = await gateway.chat(saying("Hi."), ASKED, config, decide=decide)
    assert result.reply.finish_reason == "content_filter", "by the project's own words"
    with pytest.raises(ChatError) as caught:
        await gateway.chat(saying("NASTY"), ASKED, config, decide=decide)
    assert caught.value.reason == "content_filter"


@pytest.mark.parametrize("value", ["toxicity", "in:", "up: toxicity", "in: taste", "out: promises"])
async def test_a_demand_that_cannot_be_met_is_a_deny(value: str):
    gateway, config = screened(ScriptedChat(["Fine."]))
    with pytest.raises(ChatError) as caught:
        await gateway.chat(saying("Hi."), ASKED, config, decide=demanding(value))
    assert caught.value.reason == "forbidden"


@pytest.mark.parametrize("side", ["in", "out"])
async def test_tasks_of_prompts_pass_the_same_filters(side: str):
    one, two = ScriptedProvider([GOOD]), ScriptedProvider()
    gateway, config = models(gateway={"filters": Words()}, one=one, two=two)
    word = use("block", "toxicity", "money" if side == "in" else "refund")
    screening = Screening(before=(word,)) if side == "in" else Screening(after=(word,))
    routes = tuple(replace(route, task=None) for route in config.routes)
    config = replace(config, screening=screening, routes=routes)
    signals: list[Any] = []
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=permit_all, signalled=signals.append)
    assert caught.value.kind == "model_filtered"
    assert signals[0]["filters"][0]["at"] == side
    assert not two.requests
