"""A sample of the recorded exchanges read by eye, the numbers copied from the raw bodies: no extraction in between."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.wire_cases import Replay, exchanges

from signoff.capabilities.gateway.chat import StreamEnd
from signoff.capabilities.gateway.provider import ProviderError

COUNTRY: list[tuple[str, Any]] = [("get_user_country", {})]
CITY = '{"city":"Mexico City","country":"Mexico"}'
TOKYO: list[tuple[str, Any]] = [("get_weather", {"location": "Tokyo"}), ("get_time", {"location": "Tokyo"})]
MASKED = "{ADDRESS} is the capital of Japan {Account Number}."
SUM = "The result of $65465 - 6544 \\times 65464 - 6 + 1.02255$ is **-428,330,955.97745**."
FRANCE = "The capital of France is Paris.\n"

# provider, line, how the text begins, tools, finish, (input, output, cached, reasoning)
READ: list[tuple[str, int, str, list[tuple[str, Any]], str, tuple[int, int, int, int] | None]] = [
    ("openai", 0, "1, 2, 3, 4, 5.", [], "stop", (11, 15, 0, 0)),
    ("openai", 2, "Paris", [], "stop", (18, 5, 0, 0)),
    ("openai", 3, "", COUNTRY, "tool_calls", (109, 11, 0, 0)),
    ("openai", 4, CITY, [], "stop", (130, 11, 0, 0)),
    ("openai", 7, "", [("get_weather", {"city": "Mexico City"})], "tool_calls", (45, 15, 0, 0)),
    ("openai", 9, "The current weather in San Francisco is 70 degrees", [], "stop", (40, 13, 0, 0)),
    ("openai", 17, " that isn\u2019t", [], "length", None),
    ("openai", 55, "", COUNTRY, "tool_calls", (66, 12, 0, 0)),
    ("anthropic", 0, "I found the exchange-rate tool.", [], "stop", (831, 61, 0, 0)),
    ("anthropic", 1, "This is a potato.", [], "stop", (296, 91, 0, 0)),
    ("anthropic", 2, "", [("load_capability", {"id": "refunds"})], "tool_calls", (920, 50, 0, 0)),
    ("anthropic", 8, "OK", [], "stop", (1592, 4, 1590, 0)),
    ("anthropic", 11, "", [], "stop", (1171, 256, 1167, 0)),
    ("anthropic", 13, "", [("lookup_country", {"city": "Paris"})], "tool_calls", (744, 53, 0, 0)),
    ("anthropic", 14, '{"city": "Paris", "country": "France", "population": 2161000}', [], "stop", (811, 23, 0, 0)),
    ("gemini", 0, "Okay, let me check the current weather in Paris", [], "stop", (49, 1124, 0, 996)),
    ("gemini", 2, '{"point":[40.7128,-74.006]}', [], "stop", (28, 126, 0, 108)),
    ("gemini", 3, "", COUNTRY, "tool_calls", (33, 5, 0, 0)),
    ("gemini", 5, "Paris.", [], "stop", (3520, 44, 3512, 42)),
    ("gemini", 7, SUM, [], "stop", (507, 276, 0, 168)),
    ("gemini", 10, "", [("get_country", {})], "tool_calls", (29, 212, 0, 202)),
    ("vertex", 0, "The URL leads to a research paper", [], "stop", (19875, 205, 0, 0)),
    ("vertex", 5, FRANCE, [], "stop", (13, 8, 0, 0)),
    ("bedrock", 0, "", [("get_weather", {"city": "Paris"})], "tool_calls", (727, 33, 0, 0)),
    ("bedrock", 1, "I'll set aside that instruction", [], "stop", (68, 508, 0, 0)),
    ("bedrock", 2, "Here are the basic steps", [], "stop", (42, 313, 0, 0)),
    ("bedrock", 4, "", [], "stop", (92, 253, 0, 0)),
    ("bedrock", 11, MASKED, [], "content_filter", (54, 18, 0, 0)),
    ("bedrock", 38, "\nOnce upon a time, a little girl named Emily", [], "content_filter", (28, 188, 0, 0)),
    ("bedrock", 39, "# Evolution of Python", [], "stop", (9514, 1944, 9511, 0)),
    ("groq", 1, "4", [], "stop", (84, 41, 0, 31)),
    ("openrouter", 0, "ok", [], "stop", (14, 4, 0, 0)),
    ("openrouter", 3, "", [], "length", (43, 10, 0, 11)),
    ("openrouter", 5, "I'm Grok,", [], "stop", (687, 240, 682, 165)),
    ("openrouter", 6, "The CAP theorem", [], "length", (2168, 100, 2161, 0)),
    ("mistral", 0, "The document you provided is a **dummy text file**", [], "stop", (49, 69, 0, 0)),
    ("mistral", 4, "", [], "stop", (10, 232, 0, 0)),
    ("mistral", 6, "", [("get_weather", {"city": "Paris"})], "tool_calls", (70, 12, 69, 0)),
    ("azure-openai", 0, "Paris", [], "stop", (18, 5, 0, 0)),
    ("azure-openai", 9, "The capital of France is **Paris**.", [], "stop", (14, 9, 0, 0)),
    ("cohere", 1, "", TOKYO, "tool_calls", (1531, 89, 0, 0)),
    ("cohere", 2, "The weather in Tokyo is currently sunny and 20", [], "stop", (1694, 57, 0, 0)),
    ("deepseek", 0, "The capital of France is Paris.", [], "stop", (90, 15, 0, 7)),
    ("deepseek", 1, "Let me load", [("load_capability", {"id": "DICE_ROLL"})], "tool_calls", (563, 116, 512, 60)),
    ("deepseek", 2, "Let me get", [("get_player_name", {}), ("roll_dice", {})], "tool_calls", (875, 79, 0, 26)),
    ("ollama", 0, '{"name":"Loki","animal":"cat","age":3}', [], "stop", (172, 88, 0, 0)),
    ("ollama", 1, "This is a simple example, but", [], "stop", (44, 113, 0, 0)),
    ("huggingface", 0, "", [("final_result", {"response": [2, 3, 5]})], "tool_calls", (19, 29, 0, 0)),
    ("huggingface", 1, "<think>\nHmm, the user just said", [], "length", (4, 100, 0, 0)),
    ("cerebras", 0, "25 * 4 = 100.", [], "stop", (17, 415, 0, 406)),
]


@pytest.mark.parametrize("provider", sorted({row[0] for row in READ}))
async def test_what_was_read_by_eye_is_what_comes_out(provider: str):
    recorded = exchanges(provider)
    async with Replay() as replay:
        for _, line, text, tools, finish, tokens in (row for row in READ if row[0] == provider):
            outcome = await replay.outcome(recorded[line])
            assert not isinstance(outcome, ProviderError), (provider, line, outcome.detail)
            reply = outcome.reply if isinstance(outcome, StreamEnd) else outcome
            used = reply.usage
            counted = (used.input_tokens, used.output_tokens, used.cached_input_tokens, used.reasoning_tokens)
            seen = (
                reply.text[: len(text)],
                [(call.name, json.loads(call.arguments)) for call in reply.tool_calls],
                reply.finish_reason,
                counted if used.reported else None,
            )
            assert seen == (text, tools, finish, tokens), (provider, line)


async def test_a_model_that_calls_tools_wrongly_mid_stream_ends_typed():
    # Groq, line 5: thoughts, then `event: error` with code `tool_use_failed` and status 400.
    async with Replay() as replay:
        end = await replay.outcome(exchanges("groq")[5])
    assert isinstance(end, StreamEnd)
    assert end.reply.finish_reason == "incomplete"
    assert end.failure is not None
    assert (end.failure.kind, end.failure.retryable) == ("rejected", False)


QUOTED = [
    (429, "rate_limited", None),
    (429, "rate_limited", 0.006),
    (500, "unavailable", None),
    (429, "rate_limited", None),
]


async def test_errors_quoted_in_bug_reports_are_typed():
    async with Replay() as replay:
        for quoted, (status, kind, wait_s) in zip(exchanges("quoted_errors"), QUOTED, strict=True):
            assert quoted["status"] == status
            headers = {"content-type": "application/json"}
            response = {
                "status": status,
                "headers": headers,
                "body_text": json.dumps(quoted["body"]),
                "body_base64": None,
            }
            outcome = await replay.outcome({"provider": quoted["provider"], "api": "", "response": response})
            assert isinstance(outcome, ProviderError)
            assert (outcome.kind, outcome.retry_after_s) == (kind, wait_s)
