"""A chat goes out without what its permit hides, and comes back with it, streams and tools' arguments included."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import orjson
import pytest

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatMessage,
    ChatReply,
    ChatRequest,
    ChatTool,
    ImagePart,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolResultPart,
)
from signoff.capabilities.gateway.chat_protection import ProtectedChat, protect_chat
from signoff.capabilities.gateway.protection import NotProtectedError, Protector
from signoff.governance.policy import Obligation
from signoff.governance.privacy import Detector

EMAIL, IBAN = "ana@example.com", "DE89370400440532013000"
TOKENISE = (Obligation("tokenise", "contact, financial", "p"),)
REQUEST = ChatRequest(
    messages=(
        ChatMessage("system", (TextPart(f"You serve {EMAIL}."),)),
        ChatMessage("assistant", (ReasoningPart(f"It is {EMAIL}"), ToolCallPart("1", "look_up", f'{{"e":"{EMAIL}"}}'))),
        ChatMessage("tool", (ToolResultPart("1", "look_up", '{"iban": "\\u0044E89370400440532013000"}'),)),
    ),
    tools=(ChatTool("pay", f"Ask {EMAIL}", {"type": "object", "properties": {}}),),
)


async def protected(*, may_see: Sequence[str] = ()) -> ProtectedChat:
    return await protect_chat(Protector(Detector()), REQUEST, TOKENISE, lambda _: may_see)


def token_of(chat: ProtectedChat) -> str:
    part = chat.request.messages[0].parts[0]
    assert isinstance(part, TextPart)
    return part.text.removeprefix("You serve ").removesuffix(".")


async def test_nothing_hidden_is_sent_escaped_or_signed():
    chat = await protected()
    assert EMAIL not in repr(chat.request)
    assert IBAN not in repr(chat.request)
    assert "u0044" not in repr(chat.request)
    assert [type(part) for part in chat.request.messages[1].parts] == [ToolCallPart], (
        "a signed thought cannot be changed"
    )
    assert repr(chat.request).count("EMAIL_ADDRESS_1_") == 3


async def test_words_are_restored_and_arguments_only_for_a_tool_that_may_see():
    for may_see, shown in (((), False), (("EMAIL_ADDRESS",), True), (("IBAN_CODE",), False)):
        chat = await protected(may_see=may_see)
        token = token_of(chat)
        parts = (TextPart(f"Hello {token}"), ToolCallPart("2", "pay", f'{{"to":"{token}"}}'))
        back = chat.reply(ChatReply(parts, "tool_calls"))
        assert back.text == f"Hello {EMAIL}"
        assert (EMAIL in back.tool_calls[0].arguments) is shown


@pytest.mark.parametrize("size", [1, 3, 7, 100])
async def test_a_stream_is_restored_across_its_borders(size: int):
    chat = await protected(may_see=("EMAIL_ADDRESS",))
    token = token_of(chat)
    text, arguments = f"Hello {token} [1] and {token}", orjson.dumps({"to": token}).decode()

    async def events() -> AsyncGenerator[ChatEvent]:
        for place in range(0, len(text), size):
            yield TextDelta(text[place : place + size])
        for place in range(0, len(arguments), size):
            yield ToolCallDelta(
                0, "2" if place == 0 else "", "pay" if place == 0 else "", arguments[place : place + size]
            )
        yield StreamEnd(ChatReply((TextPart(text), ToolCallPart("2", "pay", arguments)), "tool_calls"))

    seen = [event async for event in chat.stream(events())]
    assert "".join(event.text for event in seen if isinstance(event, TextDelta)) == f"Hello {EMAIL} [1] and {EMAIL}"
    written = "".join(event.arguments for event in seen if isinstance(event, ToolCallDelta))
    assert orjson.loads(written) == {"to": EMAIL}
    assert isinstance(seen[-1], StreamEnd)
    assert seen[-1].reply.text == f"Hello {EMAIL} [1] and {EMAIL}"


async def test_a_value_with_quotes_stays_json_in_arguments():
    request = ChatRequest((ChatMessage("user", (TextPart('password: a"b_1\\c2'),)),))
    chat = await protect_chat(
        Protector(Detector()), request, (Obligation("tokenise", "secrets", "p"),), lambda _: {"SECRET"}
    )
    sent = chat.request.messages[0].parts[0]
    assert isinstance(sent, TextPart)
    token = sent.text.removeprefix("password: ")
    back = chat.reply(ChatReply((ToolCallPart("1", "t", orjson.dumps({"p": token}).decode()),), "tool_calls"))
    assert "[" not in orjson.loads(back.tool_calls[0].arguments)["p"]


async def test_what_cannot_be_searched_is_refused():
    picture = ChatRequest((ChatMessage("user", (ImagePart("image/png", b"x"),)),))
    with pytest.raises(NotProtectedError, match="picture"):
        await protect_chat(Protector(Detector()), picture, TOKENISE)
    with pytest.raises(NotProtectedError, match="EMAIL_ADDRESS") as caught:
        await protect_chat(Protector(Detector()), REQUEST, (Obligation("block", "contact", "p"),))
    assert EMAIL not in str(caught.value)
    assert (await protect_chat(Protector(Detector()), picture, ())).request is picture
