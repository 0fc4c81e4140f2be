"""Answers are held to their requests, whatever a vendor does: to tools that were offered, to stops, to lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from support.chat_cases import ASKED, HELLO, USAGE, ScriptedChat, models
from support.gateway_cases import permit_all

from signoff.capabilities.gateway import ProviderError
from signoff.capabilities.gateway.asking import ChatError
from signoff.capabilities.gateway.chat import (
    ChatReply,
    ChatTool,
    OnlyTool,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
)

OFFERED = replace(HELLO, tools=(ChatTool("mail.read"), ChatTool("mail.send")))


def calling(name: str) -> ChatReply:
    return ChatReply((ToolCallPart("c1", name, "{}"),), "tool_calls", usage=USAGE)


@pytest.mark.parametrize(
    ("request_", "name", "allowed"),
    [
        (OFFERED, "mail.read", True),
        (OFFERED, "mail.delete", False),
        (HELLO, "mail.read", False),
        (replace(OFFERED, tool_choice="none"), "mail.read", False),
        (replace(OFFERED, tool_choice=OnlyTool("mail.read")), "mail.read", True),
        (replace(OFFERED, tool_choice=OnlyTool("mail.read")), "mail.send", False),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_only_tools_that_were_offered_are_called(request_: Any, name: str, *, allowed: bool, streamed: bool):
    said: Any = [ToolCallDelta(0, "c1", name, "{}"), StreamEnd(calling(name))] if streamed else calling(name)
    one = ScriptedChat([said])
    gateway, config = models(one=one)

    async def ask() -> ChatReply:
        if not streamed:
            return (await gateway.chat(request_, ASKED, config, decide=permit_all)).reply
        stream = await gateway.stream(request_, ASKED, config, decide=permit_all)
        events = [event async for event in stream]
        assert isinstance(events[-1], StreamEnd)
        return events[-1].reply

    if allowed:
        assert [call.name for call in (await ask()).tool_calls] == [name]
        return
    with pytest.raises(ChatError) as caught:
        await ask()
    assert (caught.value.kind, caught.value.reason) == ("model_contract", "contract")
    assert name not in caught.value.detail
    assert len(one.chats) == 1, "asking the same model again would cost, and say the same"


async def test_the_next_model_is_asked_where_one_calls_what_it_was_not_offered():
    gateway, config = models(one=ScriptedChat([calling("mail.delete")]), two=ScriptedChat(["Fine."]))
    result = await gateway.chat(OFFERED, ASKED, config, decide=permit_all)
    assert result.reply.text == "Fine."
    assert [item.outcome for item in result.record.tried] == ["contract", "ok"]


async def test_a_stream_that_calls_such_a_tool_later_is_incomplete():
    said = [TextDelta("Let me see."), ToolCallDelta(0, "c1", "mail.delete", "{}"), StreamEnd(calling("mail.delete"))]
    gateway, config = models(one=ScriptedChat([said]))
    stream = await gateway.stream(OFFERED, ASKED, config, decide=permit_all)
    events = [event async for event in stream]
    end = events[-1]
    assert isinstance(end, StreamEnd)
    assert end.reply.finish_reason == "incomplete"
    assert isinstance(end.failure, ProviderError)
    assert end.failure.kind == "contract"
    assert not any(isinstance(event, ToolCallDelta) for event in events)


@pytest.mark.parametrize(
    ("pieces", "shown", "finish"),
    [
        (["one END two"], "one ", "stop"),
        (["one E", "N", "D two"], "one ", "stop"),
        (["one E", "N", "T two"], "one ENT two", "stop"),
        (["one EN"], "one EN", "stop"),
        (["one ###", " two END"], "one ", "stop"),
        (["x" * 300, "y" * 300, "z"], "x" * 300 + "y" * 100, "length"),
    ],
)
async def test_answers_stop_where_the_request_says_so(pieces: Sequence[str], shown: str, finish: str):
    request = replace(HELLO, stop=("END", "###"), max_output_tokens=10)
    text = "".join(pieces)
    whole = ChatReply((TextPart(text),), "stop", usage=USAGE)
    gateway, config = models(one=ScriptedChat([whole, [*map(TextDelta, pieces), StreamEnd(whole)]]))
    reply = (await gateway.chat(request, ASKED, config, decide=permit_all)).reply
    assert (reply.text, reply.finish_reason) == (shown, finish)
    stream = await gateway.stream(request, ASKED, config, decide=permit_all)
    events = [event async for event in stream]
    end = events[-1]
    assert isinstance(end, StreamEnd)
    streamed = "".join(event.text for event in events if isinstance(event, TextDelta))
    # A stream's last piece is shown whole: what counts is that no other follows.
    assert streamed.startswith(shown)
    assert len(streamed) <= len(shown) + 300
    assert end.reply.finish_reason == finish
    assert (streamed == shown) or finish == "length"


async def test_a_vendor_that_does_not_count_is_left_in_the_middle_of_its_stream():
    said = [TextDelta("word " * 100)] * 50
    one = ScriptedChat([[*said, StreamEnd(ChatReply((TextPart("…"),), "stop", usage=USAGE))]])
    gateway, config = models(one=one)
    stream = await gateway.stream(replace(HELLO, max_output_tokens=10), ASKED, config, decide=permit_all)
    events = [event async for event in stream]
    assert len(events) == 2
    assert one.closed == 1
    assert stream.record is not None
    assert stream.record.finish_reason == "length"
