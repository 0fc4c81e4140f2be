"""Chats with the local language model, whose runtime is played: what it is told, what comes, and that it is stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from signoff.capabilities.gateway.chat import (
    ChatMessage,
    ChatRequest,
    Chats,
    ChatTool,
    ImagePart,
    StreamEnd,
    TextDelta,
    TextPart,
)
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.qwen import Engine, Qwen
from signoff.capabilities.gateway.tuning import Tuning
from signoff.catalog.models import ModelSpec

HELLO = ChatRequest((ChatMessage("user", (TextPart("Hello"),)),))
WORDS = ("The", " parcel", " is", " here.")


class Runtime:
    """Answers as xllamacpp's server does: chunks told to a callback, which stops it by saying true."""

    def __init__(self, deltas: list[dict[str, Any]], *, end: str = "stop") -> None:
        self.asked: list[dict[str, Any]] = []
        self.stopped = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self._deltas = deltas
        self._end = end

    def handle_chat_completions(self, request: dict[str, Any], told: Callable[[dict[str, Any]], bool]) -> None:
        self.asked.append(request)
        for delta in self._deltas:
            if told({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}):
                self.stopped.set()
                return
            self.go_on.wait(20)
        told({"choices": [{"index": 0, "delta": {}, "finish_reason": self._end}]})
        told({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})


class Overlong:
    """Refuses, as the runtime does where the prompt has no room."""

    def handle_chat_completions(self, request: dict[str, Any], told: Callable[[dict[str, Any]], bool]) -> None:
        told({"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt": len(request)}})


def _qwen(runtime: object) -> Qwen:
    return Qwen(ModelSpec("local/qwen", "qwen"), engine=Engine(Path("model.gguf"), lambda _: runtime))


def _said(*words: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": None}, *({"content": word} for word in words)]


async def test_it_answers_whole_and_as_it_comes() -> None:
    runtime = Runtime(_said(*WORDS))
    qwen = _qwen(runtime)
    assert isinstance(qwen, Chats)
    reply = await qwen.chat(HELLO)
    assert (reply.text, reply.finish_reason) == ("The parcel is here.", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (9, 4)
    events = [event async for event in qwen.stream(HELLO)]
    assert tuple(event.text for event in events if isinstance(event, TextDelta)) == WORDS
    assert isinstance(events[-1], StreamEnd)
    assert events[-1].reply.text == reply.text
    assert runtime.asked[0]["temperature"] == 0
    assert runtime.asked[0]["max_tokens"] == 1_024


async def test_it_is_told_schemas_and_how_to_draw() -> None:
    runtime = Runtime(_said(*WORDS))
    qwen = _qwen(runtime)
    schema = {"type": "object", "properties": {"where": {"type": "string", "maxLength": 9}}}
    await qwen.chat(ChatRequest(HELLO.messages, output_schema=schema, tuning=Tuning(top_p=0.5, top_k=4, seed=7)))
    told = runtime.asked[0]
    # The grammar would cut words rather than choose shorter ones.
    assert told["response_format"]["json_schema"]["schema"]["properties"]["where"] == {"type": "string"}
    assert (told["top_p"], told["top_k"], told["seed"]) == (0.5, 4, 7)
    assert "temperature" not in told


async def test_whoever_leaves_stops_the_model_and_the_next_one_is_answered() -> None:
    runtime = Runtime(_said(*WORDS))
    runtime.go_on.clear()
    qwen = _qwen(runtime)
    async with aclosing(qwen.stream(HELLO)) as events:
        runtime.go_on.set()
        assert await anext(events) == TextDelta("The")
    runtime.go_on.set()
    asking = asyncio.create_task(qwen.chat(HELLO))
    assert (await asking).text == "The parcel is here."


@pytest.mark.parametrize(("runtime", "kind"), [(Overlong(), "context_overflow"), (Runtime([], end=""), "unavailable")])
async def test_what_it_cannot_take_and_what_never_ends_are_told(runtime: object, kind: str) -> None:
    with pytest.raises(ProviderError) as told:
        await _qwen(runtime).chat(HELLO)
    assert told.value.kind == kind


async def test_it_reads_words_only_and_calls_no_tools() -> None:
    seen = ChatRequest((ChatMessage("user", (ImagePart("image/png", b"x"),)),))
    tools = ChatRequest(HELLO.messages, (ChatTool("weather"),))
    for request, what in ((seen, "pictures"), (tools, "tools")):
        with pytest.raises(ProviderError, match=what) as told:
            await _qwen(Runtime([])).chat(request)
        assert told.value.kind == "cannot"
