"""Chats through the gateway: answers, fallbacks, streams, records."""

from __future__ import annotations

import pytest
from support.chat_cases import ASKED, HELLO, ScriptedChat, models
from support.gateway_cases import forbid, permit_all

from signoff.capabilities.gateway import ProviderError
from signoff.capabilities.gateway.asking import ChatError
from signoff.capabilities.gateway.chat import StreamEnd, TextDelta


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
