"""How likely each token was: as vendors tell it, through the gateway, as OpenAI's SDK reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response
from support.chat_cases import ASKED, HELLO, ScriptedChat, models
from support.gateway_cases import permit_all

from signoff.api.compatible.chat_answer import ChatFrames, Head, chat_body
from signoff.api.compatible.responses_answer import ResponseFrames, response_body
from signoff.capabilities.gateway.caching.codec import packed, unpacked
from signoff.capabilities.gateway.chat import ChatReply, TextDelta, TextPart
from signoff.capabilities.gateway.chats.gate import withheld
from signoff.capabilities.gateway.providers.wire.framing import Event
from signoff.capabilities.gateway.providers.wire.openai_chat import OpenAIChat
from signoff.capabilities.gateway.providers.wire.openai_responses import OpenAIResponses
from signoff.capabilities.gateway.providers.wire.reading import read_reply
from signoff.capabilities.gateway.tuning import Tuning

HEAD = Head("0198c5a0-0000-7000-8000-000000000000", 1_700_000_000, "m")
TOKENS = tuple(
    {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": token, "logprob": -0.5, "bytes": None}]}
    for token in ("It ", "is ", "here.")
)
REPLY = ChatReply((TextPart("It is here."),), "stop", logprobs=TOKENS)


def test_vendors_are_asked_and_read() -> None:
    request = replace(HELLO, tuning=Tuning(logprobs=2))
    asked = OpenAIChat().body(request, "m", stream=False)
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 2)
    choice = {"index": 0, "message": {"content": "It is here."}, "logprobs": {"content": list(TOKENS)}}
    whole = read_reply(OpenAIChat(), {"id": "1", "choices": [{**choice, "finish_reason": "stop"}]})
    assert whole.logprobs == TOKENS
    reader = OpenAIChat().reader()
    for token in TOKENS:
        delta = {"index": 0, "delta": {"content": token["token"]}, "logprobs": {"content": [token]}}
        reader.feed(Event("", {"choices": [delta]}, done=False))
    assert reader.built.reply().logprobs == TOKENS

    asked = OpenAIResponses().body(request, "m", stream=False)
    assert (asked["include"], asked["top_logprobs"]) == (["message.output_text.logprobs"], 2)
    said = {"type": "output_text", "text": "It is here.", "logprobs": list(TOKENS)}
    body = {"id": "r", "status": "completed", "output": [{"type": "message", "content": [said]}]}
    assert read_reply(OpenAIResponses(), body).logprobs == TOKENS


def test_openais_sdk_reads_them_whole_and_of_streams() -> None:
    whole = ChatCompletion.model_validate(chat_body(HEAD, REPLY))
    told = whole.choices[0].logprobs
    assert told is not None
    assert [token.token for token in told.content or ()] == ["It ", "is ", "here."]
    frames = ChatFrames(HEAD, usage=False)
    sent = frames.start() + frames.event(TextDelta("It is here.")) + frames.end(REPLY)
    chunks = [ChatCompletionChunk.model_validate_json(line[6:]) for line in sent.split(b"\n\n") if b"{" in line]
    streamed = [
        token.token for chunk in chunks for one in chunk.choices if one.logprobs for token in one.logprobs.content or ()
    ]
    assert streamed == ["It ", "is ", "here."]

    response = Response.model_validate(response_body(HEAD, {}, REPLY))
    first: Any = response.output[0]
    assert [token.token for token in first.content[0].logprobs] == ["It ", "is ", "here."]
    events = ResponseFrames(HEAD, {})
    events.start()
    events.event(TextDelta("It is here."))
    last = orjson.loads(events.end(REPLY).rsplit(b"data: ", 1)[1])
    assert [token["token"] for token in last["response"]["output"][0]["content"][0]["logprobs"]] == [
        "It ",
        "is ",
        "here.",
    ]


async def test_what_is_cut_off_withheld_or_kept_goes_with_its_words() -> None:
    one = ScriptedChat([REPLY])
    one.tunings = frozenset({"logprobs"})  # pyright: ignore[reportAttributeAccessIssue]  (makes it tunable)
    gateway, config = models(one=one)
    request = replace(HELLO, stop=("here",), tuning=Tuning(logprobs=0))
    cut = (await gateway.chat(request, ASKED, config, decide=permit_all)).reply
    assert (cut.text, [token["token"] for token in cut.logprobs]) == ("It is ", ["It ", "is "])
    assert withheld(REPLY).logprobs == ()
    assert tuple(unpacked(packed(REPLY)).logprobs) == TOKENS
