"""Chats through the gateway: answers, fallbacks, streams, records."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from support.chat_cases import ASKED, HELLO, ScriptedChat, models
from support.gateway_cases import Answered, forbid, permit_all

from signoff.capabilities.gateway import ProviderError
from signoff.capabilities.gateway.asking import ChatError
from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatMessage,
    ChatReply,
    ChatRequest,
    ChatTool,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
)
from signoff.capabilities.gateway.chats.heard import Heard
from signoff.capabilities.gateway.protection import Protector
from signoff.governance.policy import Obligation
from signoff.governance.privacy import Detector


async def test_a_chat_is_answered_and_recorded():
    one = ScriptedChat(["Hello there."])
    gateway, config = models(one=one)
    result = await gateway.chat(HELLO, ASKED, config, decide=permit_all)
    assert result.reply.text == "Hello there."
    assert (result.record.outcome, result.record.model, result.record.finish_reason) == ("ok", "one", "stop")
    assert [item.outcome for item in result.record.tried] == ["ok"]
    assert result.record.usage.input_tokens == 10


async def test_a_forbidden_model_is_never_called():
    one, two = ScriptedChat(), ScriptedChat(["Two."])
    gateway, config = models(one=one, two=two)
    result = await gateway.chat(HELLO, ASKED, config, decide=forbid("one"))
    assert result.reply.text == "Two."
    assert not one.chats
    assert [(item.model, item.rank, item.by) for item in result.record.considered] == [
        ("two", 1, ()),
        ("one", 0, ("no-one",)),
    ]


async def test_a_stream_gives_its_words_and_its_end():
    gateway, config = models(one=ScriptedChat(["Hello there."]))
    stream = await gateway.stream(HELLO, ASKED, config, decide=permit_all)
    events = [event async for event in stream]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Hello there."
    assert isinstance(events[-1], StreamEnd)
    assert stream.record is not None
    assert stream.record.outcome == "ok"


async def test_a_stream_that_cannot_begin_falls_back():
    broken = ScriptedChat([ProviderError("setup", "No key.")])
    gateway, config = models(one=broken, two=ScriptedChat(["Two."]))
    stream = await gateway.stream(HELLO, ASKED, config, decide=permit_all)
    assert [event.text async for event in stream if isinstance(event, TextDelta)] == ["Two."]
    assert stream.record is not None
    assert [item.outcome for item in stream.record.tried] == ["setup", "ok"]


async def test_nobody_who_answers_is_an_error_with_a_record():
    gateway, config = models(one=ScriptedChat([ProviderError("rejected", "Wrong.")]))
    for ask in (gateway.chat, gateway.stream):
        with pytest.raises(ChatError) as caught:
            await ask(HELLO, ASKED, config, decide=permit_all)
        assert (caught.value.kind, caught.value.reason) == ("model_rejected", "rejected")
        assert caught.value.record.outcome == "rejected"


EMAIL = "ana@example.com"
WRITES = replace(HELLO, messages=(ChatMessage("user", (TextPart(f"Write to {EMAIL}."),)),))


def tokenising(*models_: str):
    """A policy that lets these models see tokens only."""

    def decide(model: str, attributes: Any, /) -> Answered:
        duties = (Obligation("tokenise", "contact", "p"),) if model in models_ else ()
        return Answered(permit=True, obligations=duties)

    return decide


def seen(chat: ScriptedChat) -> str:
    """All text that a model was shown at last."""
    return " ".join(part.text for item in chat.chats[-1].messages for part in item.parts if isinstance(part, TextPart))


async def test_who_goes_on_is_shown_what_its_own_permit_allows_and_the_caller_sees_the_values():
    class Echo(ScriptedChat):
        """Says the token that it was shown, cut in the middle, and breaks off in the middle of it."""

        async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
            self.chats.append(request)
            token = seen(self).removeprefix("Write to ").removesuffix(".")
            half = len(token) // 2
            for piece in ("I wrote to ", token[:half], token[half:], " and to ", token[:half]):
                yield TextDelta(piece)
            yield StreamEnd(ChatReply((TextPart("…"),), "incomplete"), ProviderError("unavailable", "Down."))

    one, two = Echo(), ScriptedChat(["nobody else."])
    gateway, config = models(gateway={"protector": Protector(Detector())}, one=one, two=two)
    asked = replace(ASKED, continues=True)
    stream = await gateway.stream(WRITES, asked, config, decide=tokenising("one", "two"))
    text = "".join([event.text async for event in stream if isinstance(event, TextDelta)])
    assert text == f"I wrote to {EMAIL} and to nobody else."
    assert EMAIL not in seen(one)
    assert EMAIL not in seen(two), "what was said so far is protected anew"
    assert "I wrote to " in seen(two)


@pytest.mark.parametrize(("reveal", "sees"), [("mail.send: contact", True), ("mail.send: names", False), ("", False)])
async def test_a_tool_gets_the_values_that_the_permit_lets_it_see(reveal: str, *, sees: bool):
    class Calls(ScriptedChat):
        async def chat(self, request: ChatRequest) -> ChatReply:
            self.chats.append(request)
            token = seen(self).removeprefix("Write to ").removesuffix(".")
            return ChatReply((ToolCallPart("c", "mail.send", f'{{"to": "{token}"}}'),), "tool_calls")

    def decide(_model: str, _attributes: Any, /) -> Answered:
        duties = [Obligation("tokenise", "contact", "p")]
        return Answered(permit=True, obligations=(*duties, *([Obligation("reveal", reveal, "p")] if reveal else [])))

    one = Calls()
    gateway, config = models(gateway={"protector": Protector(Detector())}, one=one)
    request = replace(WRITES, tools=(ChatTool("mail.send"),))
    reply = (await gateway.chat(request, ASKED, config, decide=decide)).reply
    assert EMAIL not in seen(one)
    assert (EMAIL in reply.tool_calls[0].arguments) == sees


async def test_a_model_that_may_see_more_is_shown_more():
    one, two = ScriptedChat([ProviderError("setup", "No key.")]), ScriptedChat(["Done."])
    gateway, config = models(gateway={"protector": Protector(Detector())}, one=one, two=two)
    await gateway.chat(WRITES, ASKED, config, decide=tokenising("one"))
    assert EMAIL not in seen(one)
    assert EMAIL in seen(two)


class _Piece(str):
    """A piece of a text that minds being added to what came before: of many pieces that takes quadratic time."""

    __slots__ = ()

    def __radd__(self, other: str) -> str:
        raise AssertionError(other)


def test_pieces_of_a_tools_call_are_joined_once():
    heard = Heard()
    for index, piece in ((1, "{"), (0, "[]"), (1, '"a": 1'), (1, "}")):
        heard.add(ToolCallDelta(index, f"id-{index}", f"tool-{index}", _Piece(piece)))
    assert heard.reply().tool_calls == (
        ToolCallPart("id-0", "tool-0", "[]"),
        ToolCallPart("id-1", "tool-1", '{"a": 1}'),
    )
