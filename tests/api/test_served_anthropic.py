"""Anthropic's SDK against the served gateway, its base URL changed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import pytest
from support.served_cases import drained, events_of, served

from signoff.foundation.database import Database

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
TEXT = "The parcel is on its way."
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER: Any = {
    "name": "weather",
    "description": "Of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
OF_TEXT = [
    "message_start",
    "content_block_start",
    *["content_block_delta"] * 6,
    "content_block_stop",
    "message_delta",
    "message_stop",
]


@pytest.mark.parametrize("kind", ["", "responses/", "anthropic/"])
async def test_messages_come_whole_and_as_streams_from_every_vendor(database: Database, kind: str) -> None:
    async with served(database) as here, here.anthropic() as client:
        messages: Any = client.messages
        raw = await messages.with_raw_response.create(
            model=f"{kind}says", max_tokens=99, messages=ASK, system="Be short.", metadata={"user_id": "u1"}
        )
        answer = await raw.parse()
        assert (answer.content[0].text, answer.stop_reason) == (TEXT, "end_turn")
        assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (7, 4)
        assert answer.id == f"msg_{raw.headers['signoff-call-id']}"
        assert answer._request_id == raw.headers["request-id"]
        assert raw.headers["signoff-ignored"] == "metadata"

        async with messages.stream(model=f"{kind}says", max_tokens=99, messages=ASK) as stream:
            said = [text async for text in stream.text_stream]
            final = await stream.get_final_message()
        assert ("".join(said), final.stop_reason, final.usage.output_tokens) == (TEXT, "end_turn", 7)
        assert len(said) >= 3

        called = await messages.create(
            model=f"{kind}tool", max_tokens=99, messages=ASK, tools=[WEATHER], tool_choice={"type": "any"}
        )
        (call,) = called.content
        assert (call.type, call.name, call.input, called.stop_reason) == (
            "tool_use",
            "weather",
            {"city": "Oslo"},
            "tool_use",
        )
        async with messages.stream(model=f"{kind}tool", max_tokens=99, messages=ASK, tools=[WEATHER]) as stream:
            assert (await stream.get_final_message()).content[0].input == {"city": "Oslo"}
        result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "rainy"}]}
        turns = [*ASK, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
        await messages.create(model=f"{kind}says", max_tokens=99, messages=turns, tools=[WEATHER])
        assert "rainy" in str(here.vendor.asked[-1].body)


async def test_what_is_asked_for_reaches_the_vendor_and_every_end_is_told(database: Database) -> None:
    async with served(database) as here, here.anthropic("/projects/served/environments/dev") as client:
        messages: Any = client.messages
        content = [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL}},
            {"type": "text", "text": "What is it?", "cache_control": {"type": "ephemeral"}},
        ]
        raw = await messages.with_raw_response.create(
            model="anthropic/says",
            max_tokens=9,
            messages=[{"role": "user", "content": content}],
            stop_sequences=["END"],
            extra_body={"temperature": 0.5},
        )
        assert raw.headers["signoff-ignored"] == "messages[0].content[2].cache_control"
        body = here.vendor.asked[-1].body
        assert [part["type"] for part in body["messages"][0]["content"]] == ["image", "document", "text"]
        assert (body["stop_sequences"], body["temperature"], body["max_tokens"]) == (["END"], 0.5, 9)
        assert (await messages.create(model="length", max_tokens=9, messages=ASK)).stop_reason == "max_tokens"
        assert (await messages.create(model="anthropic/refuses", max_tokens=9, messages=ASK)).stop_reason == "refusal"
        thought = await messages.create(model="anthropic/thinks", max_tokens=9, messages=ASK)
        assert [(block.type) for block in thought.content] == ["thinking", "text"]
        assert thought.content[0].signature == "c2ln"
        counted = await messages.count_tokens(model="says", messages=ASK, system="Be short.")
        assert counted.input_tokens >= 8
        form: Any = {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}
        formed = await messages.create(model="json", max_tokens=9, messages=ASK, output_config=form)
        assert json.loads(formed.content[0].text) == {"where": "road"}
        listed = [model.id async for model in await client.models.list()]
        assert "says" in listed
        assert (await client.models.retrieve("says")).display_name == "says"


async def test_errors_are_of_the_classes_that_programs_wait_for(database: Database) -> None:
    async with served(database) as here:

        async def failing(kind: type[anthropic.AnthropicError], model: str = "says", **more: Any) -> Any:
            async with here.anthropic() as client:
                client.api_key = more.pop("key", here.key)
                messages: Any = client.messages
                with pytest.raises(kind) as raised:
                    await messages.create(
                        model=model,
                        max_tokens=9,
                        messages=ASK,
                        extra_headers=more.pop("headers", {}),
                        extra_body=more.pop("body", {}),
                    )
            return raised.value

        assert (await failing(anthropic.AuthenticationError, key="so_x")).body["error"][
            "type"
        ] == "authentication_error"
        await failing(anthropic.PermissionDeniedError, headers={"signoff-data-class": "regulated"})
        await failing(anthropic.NotFoundError, "nobody")
        assert (await failing(anthropic.RateLimitError, "anthropic/limit-after")).response.headers["retry-after"] == "1"
        assert (await failing(anthropic.InternalServerError, "anthropic/529")).status_code == 503
        assert (await failing(anthropic.InternalServerError, "silence")).status_code == 504
        assert (await failing(anthropic.BadRequestError, "too-long")).body["error"]["type"] == "invalid_request_error"
        told = await failing(anthropic.BadRequestError, body={"service_tier": "standard_only"})
        assert "has no `service_tier`" in str(told)
        assert told.request_id


async def test_a_stream_that_breaks_is_an_error_and_one_that_is_left_ends_at_the_vendor(database: Database) -> None:
    async with served(database) as here, here.anthropic() as client:
        messages: Any = client.messages
        for fault in ("anthropic/half", "clean-half", "anthropic/error-event"):
            heard: list[Any] = []
            with pytest.raises(anthropic.APIError):
                await drained(messages.create(model=fault, max_tokens=9, messages=ASK, stream=True), heard)
            assert "message_stop" not in [event.type for event in heard]
        headers = {"signoff-timeout": "20"}
        stream = await messages.create(model="drip", max_tokens=9, messages=ASK, stream=True, extra_headers=headers)
        async for _ in stream:
            break
        await stream.close()
        async with asyncio.timeout(10):
            await here.vendor.asked[-1].left.wait()


async def test_the_raw_events_of_a_message_and_of_what_breaks(database: Database) -> None:
    async with served(database) as here, here.raw() as client:
        ask = {"messages": ASK, "stream": True, "max_tokens": 9}
        whole = events_of((await client.post("/v1/messages", json={**ask, "model": "says"})).text)
        assert [name for name, _ in whole] == OF_TEXT
        assert all(json.loads(data)["type"] == name for name, data in whole)
        assert json.loads(whole[-2][1])["delta"]["stop_reason"] == "end_turn"
        thought = events_of((await client.post("/v1/messages", json={**ask, "model": "thinks"})).text)
        blocks = [json.loads(data) for name, data in thought if name == "content_block_start"]
        assert [(one["index"], one["content_block"]["type"]) for one in blocks] == [(0, "thinking"), (1, "text")]
        broken = events_of((await client.post("/v1/messages", json={**ask, "model": "half"})).text)
        assert broken[-1][0] == "error"
        assert "message_stop" not in [name for name, _ in broken]
