"""OpenAI's SDK against the served gateway, its base URL changed: chat completions, embeddings, models."""

from __future__ import annotations

import asyncio
import base64
import uuid
from typing import Any

import openai
import pydantic
import pytest
from support.served_cases import drained, served

from signoff.foundation.database import Database

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
TEXT = "The parcel is on its way."
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Where(pydantic.BaseModel):
    where: str


@pytest.mark.parametrize("kind", ["", "responses/", "anthropic/"])
async def test_chats_come_whole_and_as_streams_from_every_vendor(database: Database, kind: str) -> None:
    async with served(database) as here, here.openai() as client:
        chats: Any = client.chat.completions
        raw = await chats.with_raw_response.create(model=f"{kind}says", messages=ASK, user="u1", max_tokens=50)
        answer = raw.parse()
        assert answer.choices[0].message.content == TEXT
        assert answer.choices[0].finish_reason == "stop"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)
        assert answer.usage.prompt_tokens_details.cached_tokens == 4
        assert answer.id == f"chatcmpl-{raw.headers['signoff-call-id']}"
        assert raw.headers["signoff-model"] == answer.model == f"{kind}says"
        assert raw.headers["signoff-ignored"] == "user"
        assert (raw.headers["signoff-cost-usd"], raw.headers.get("signoff-cached")) == ("0.000000", None)
        assert answer._request_id == raw.headers["x-request-id"]

        # A stream says the same, in pieces.
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = [chunk async for chunk in await chats.create(model=f"{kind}says", messages=ASK, **options)]
        said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
        assert len([text for text in said if text]) >= 3
        assert "".join(text or "" for text in said) == TEXT
        assert chunks[-1].usage.total_tokens == 18
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"

        # Tools: the call, whole and streamed, then its result.
        called = await chats.create(model=f"{kind}tool", messages=ASK, tools=[WEATHER], tool_choice="required")
        (call,) = called.choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Oslo"}') or kind == "anthropic/"
        assert called.choices[0].finish_reason == "tool_calls"
        assert "tool_choice" in here.vendor.asked[-1].body
        async with chats.stream(model=f"{kind}tool", messages=ASK, tools=[WEATHER]) as stream:
            final = await stream.get_final_completion()
        (streamed,) = final.choices[0].message.tool_calls
        assert streamed.function.arguments.replace(" ", "") == '{"city":"Oslo"}'
        turns = [*ASK, called.choices[0].message.model_dump(exclude_none=True), _result(call.id)]
        await chats.create(model=f"{kind}says", messages=turns, tools=[WEATHER])
        assert "rainy" in str(here.vendor.asked[-1].body)


def _result(call_id: str) -> dict[str, str]:
    return {"role": "tool", "tool_call_id": call_id, "content": "rainy"}


async def test_what_is_asked_for_reaches_the_vendor_and_every_end_is_told(database: Database) -> None:
    async with served(database) as here, here.openai() as client:
        chats: Any = client.chat.completions
        content = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "high"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}},
        ]
        settings = {"stop": ["END"], "temperature": 0.5, "max_completion_tokens": 99, "n": 1, "logprobs": False}
        system = {"role": "developer", "content": "Be short."}
        raw = await chats.with_raw_response.create(
            model="says", messages=[system, {"role": "user", "content": content}], **settings
        )
        assert raw.headers["signoff-ignored"] == "messages[1].content[1].image_url.detail"
        body = here.vendor.asked[-1].body
        assert body["messages"][0] == {"role": "system", "content": "Be short."}
        assert [part["type"] for part in body["messages"][1]["content"]] == ["text", "image_url", "file"]
        assert (body["stop"], body["temperature"], body["max_tokens"]) == (["END"], 0.5, 99)

        # A form of the answer, as the SDK makes it of a class.
        parsed = await chats.parse(model="json", messages=ASK, response_format=Where)
        assert parsed.choices[0].message.parsed == Where(where="road")
        assert here.vendor.asked[-1].body["response_format"]["json_schema"]["name"] == "Where"

        refused = (await chats.create(model="refuses", messages=ASK)).choices[0]
        assert (refused.message.refusal, refused.message.content) == ("I will not say.", None)
        thought = (await chats.create(model="thinks", messages=ASK)).choices[0].message
        assert (thought.reasoning_content, thought.content) == ("Where is it?", TEXT)
        assert (await chats.create(model="length", messages=ASK)).choices[0].finish_reason == "length"
        with pytest.raises(openai.LengthFinishReasonError):
            await chats.parse(model="length", messages=ASK, response_format=Where)

        # A route goes on where its first model cannot.
        answer = await chats.create(model="first-that-works", messages=ASK)
        assert answer.model == "says"

        # The explicit base URL is the same place.
        async with here.openai("/projects/served/environments/dev/v1") as explicit:
            again: Any = await explicit.chat.completions.create(model="says", messages=ASK)
        assert again.choices[0].message.content == TEXT


async def test_embeddings_and_models(database: Database) -> None:
    async with served(database) as here, here.openai() as client:
        # The SDK asks for base64 by itself, and decodes it.
        found = await client.embeddings.create(model="says", input=["one", "two"])
        assert [item.index for item in found.data] == [0, 1]
        assert found.data[0].embedding == pytest.approx([0.6, 0.8, 0.0])
        raw: Any = client.embeddings.with_raw_response
        answer = await raw.create(model="says", input="one", encoding_format="float")
        plain = answer.parse()
        assert uuid.UUID(answer.headers["signoff-call-id"]).version == 7
        assert plain.data[0].embedding == pytest.approx([0.6, 0.8, 0.0])
        assert plain.usage.prompt_tokens > 0
        with pytest.raises(openai.BadRequestError, match="rather than tokens"):
            await client.embeddings.create(model="says", input=[[1, 2, 3]])
        # Nothing to try again: the SDK would, of a 503.
        with pytest.raises(openai.BadRequestError, match="does not do the task 'embed'") as told:
            await client.embeddings.create(model="anthropic/says", input="one")
        assert told.value.code == "not_supported_by_model"
        listed = [model.id async for model in await client.models.list()]
        assert {"says", "anthropic/says", "first-that-works"} <= set(listed)
        assert "kept" not in listed
        assert (await client.models.retrieve("anthropic/says")).owned_by == "anthropic"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("kept")


async def test_errors_are_of_the_classes_that_programs_wait_for(database: Database) -> None:
    async with served(database) as here:

        async def failing(kind: type[openai.OpenAIError], model: str = "says", **more: Any) -> Any:
            headers = more.pop("headers", {})
            async with here.openai(more.pop("base", "/v1")) as client:
                client.api_key = more.pop("key", here.key)
                chats: Any = client.chat.completions
                with pytest.raises(kind) as raised:
                    await chats.create(model=model, messages=ASK, extra_headers=headers, **more)
            return raised.value

        stranger = await failing(openai.AuthenticationError, key="so_nobody")
        assert stranger.code == "invalid_api_key"
        assert stranger.request_id
        forbidden = await failing(openai.PermissionDeniedError, headers={"signoff-data-class": "regulated"})
        assert "Policy forbids it" in str(forbidden)
        assert (await failing(openai.PermissionDeniedError, "kept")).code == "forbidden_by_policy"
        assert (await failing(openai.NotFoundError, "sayss")).code == "model_not_found"
        elsewhere = await failing(openai.NotFoundError, base="/projects/other/environments/dev/v1")
        assert "other" in str(elsewhere)
        assert (await failing(openai.BadRequestError, "too-long")).code == "context_length_exceeded"
        limited = await failing(openai.RateLimitError, "limit-after")
        assert limited.response.headers["retry-after"] == "1"
        assert "signoff-call-id" in limited.response.headers
        assert (await failing(openai.InternalServerError, "500")).status_code == 503
        assert (await failing(openai.InternalServerError, "silence")).status_code == 504
        unsupported = await failing(openai.BadRequestError, store=True)
        assert (unsupported.param, unsupported.code) == ("store", "unsupported_parameter")
        unknown = await failing(openai.BadRequestError, extra_body={"temprature": 1})
        assert "Did you mean 'temperature'?" in str(unknown)
        wrong = await failing(openai.BadRequestError, headers={"signoff-data-class": "secret"})
        assert "signoff-data-class" in str(wrong)


async def test_a_stream_that_breaks_is_an_error_and_one_that_is_left_ends_at_the_vendor(database: Database) -> None:
    async with served(database) as here, here.openai() as client:
        chats: Any = client.chat.completions
        for fault in ("half", "clean-half", "error-event"):
            heard: list[Any] = []
            with pytest.raises(openai.APIError):
                await drained(chats.create(model=fault, messages=ASK, stream=True), heard)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in heard).startswith("The ")
        stream = await chats.create(model="drip", messages=ASK, stream=True, extra_headers={"signoff-timeout": "20"})
        async for _ in stream:
            break
        await stream.close()
        async with asyncio.timeout(10):
            await here.vendor.asked[-1].left.wait()


async def test_images_are_bytes_and_nothing_else(database: Database) -> None:
    bad = base64.b64encode(b"x").decode()
    async with served(database) as here, here.openai() as client:
        chats: Any = client.chat.completions
        for url, told in (
            (f"data:image/tiff;base64,{bad}", "image/tiff"),
            ("data:image/png;base64,*", "base64"),
            ("file:///etc/passwd", "https or data"),
        ):
            content = [{"type": "image_url", "image_url": {"url": url}}]
            with pytest.raises(openai.BadRequestError, match=told):
                await chats.create(model="says", messages=[{"role": "user", "content": content}])
