"""OpenAI's SDK against the served gateway: responses, and the order of their events."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from support.served_cases import Served, drained, events_of, served

from signoff.foundation.database import Database

TEXT = "The parcel is on its way."
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
FORM: Any = {"type": "object", "properties": {"where": {"type": "string"}}, "required": ["where"]}
OF_TEXT = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    *["response.output_text.delta"] * 6,
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


@pytest.mark.parametrize("kind", ["", "responses/", "anthropic/"])
async def test_responses_come_whole_and_as_streams(database: Database, kind: str) -> None:
    async with served(database) as here, here.openai() as client:
        responses: Any = client.responses
        whole = await responses.create(model=f"{kind}says", input="Where is it?", instructions="Be short.")
        assert (whole.output_text, whole.status, whole.store) == (TEXT, "completed", False)
        assert whole.usage.input_tokens_details.cached_tokens == 4
        assert whole.instructions == "Be short."

        events = [event async for event in await responses.create(model=f"{kind}says", input="Where?", stream=True)]
        assert [event.type for event in events] == OF_TEXT
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].response.output_text == TEXT
        assert events[-1].response.usage.total_tokens == 18

        # A call, whole and streamed, and its output with the next request: nothing is kept here.
        called = await responses.create(model=f"{kind}tool", input="Weather?", tools=[WEATHER], tool_choice="required")
        (call,) = called.output
        assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", {"city": "Oslo"})
        async with responses.stream(model=f"{kind}tool", input="Weather?", tools=[WEATHER]) as stream:
            final = await stream.get_final_response()
        assert json.loads(final.output[0].arguments) == {"city": "Oslo"}
        turns = [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            call.model_dump(exclude_none=True),
            {"type": "function_call_output", "call_id": call.call_id, "output": "rainy"},
        ]
        await responses.create(model=f"{kind}says", input=turns, tools=[WEATHER])
        assert "rainy" in str(here.vendor.asked[-1].body)


async def test_thoughts_refusals_cuts_and_forms_are_told(database: Database) -> None:
    async with served(database) as here, here.openai() as client:
        responses: Any = client.responses
        thought = await responses.create(model="thinks", input="Where?")
        assert [item.type for item in thought.output] == ["reasoning", "message"]
        assert thought.output[0].summary[0].text == "Where is it?"
        async with responses.stream(model="thinks", input="Where?") as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()
        assert kinds.index("response.reasoning_summary_text.done") < kinds.index("response.output_text.delta")
        assert final.output_text == TEXT

        refused = await responses.create(model="refuses", input="Where?")
        assert refused.output[0].content[0].refusal == "I will not say."
        events = [event async for event in await responses.create(model="refuses", input="Where?", stream=True)]
        assert "response.refusal.done" in [event.type for event in events]
        cut = await responses.create(model="length", input="Where?")
        assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        events = [event async for event in await responses.create(model="length", input="Where?", stream=True)]
        assert events[-1].type == "response.incomplete"

        form = {"format": {"type": "json_schema", "name": "where", "schema": FORM}}
        formed = await responses.create(model="json", input="Where?", text=form)
        assert json.loads(formed.output_text) == {"where": "road"}
        assert here.vendor.asked[-1].body["response_format"]["json_schema"]["schema"]["required"] == ["where"]


async def test_what_would_be_stored_is_refused_and_a_broken_stream_is_an_error(database: Database) -> None:
    async with served(database) as here, here.openai() as client:
        responses: Any = client.responses
        for member in (
            {"store": True},
            {"previous_response_id": "resp_1"},
            {"background": True},
            {"conversation": "conv_1"},
            {"tools": [{"type": "web_search"}]},
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
        ):
            with pytest.raises(openai.BadRequestError) as raised:
                await responses.create(**{"model": "says", "input": "Where?", **member})
            assert raised.value.code == "unsupported_parameter", member
        for fault in ("half", "clean-half", "error-event"):
            heard: list[Any] = []
            with pytest.raises(openai.APIError):
                await drained(responses.create(model=fault, input="Where?", stream=True), heard)
            assert "response.completed" not in [event.type for event in heard]


async def test_the_raw_events_of_a_chat_and_of_what_breaks(database: Database) -> None:
    async with served(database) as here:
        ask = {"messages": [{"role": "user", "content": "Where?"}], "stream": True}
        whole = await _lines(here, {**ask, "model": "says", "stream_options": {"include_usage": True}})
        assert whole[-1] == "[DONE]"
        chunks = [json.loads(line) for line in whole[:-1]]
        assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * 7 + ["stop"]
        assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 18)
        assert all(chunk["usage"] is None for chunk in chunks[:-1])
        assert len({(chunk["id"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
        broken = await _lines(here, {**ask, "model": "half"})
        assert "[DONE]" not in broken
        assert json.loads(broken[-1])["error"]["type"] == "server_error"


async def _lines(here: Served, body: dict[str, Any]) -> list[str]:
    async with here.raw() as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [data for _, data in events_of(answer.text)]
