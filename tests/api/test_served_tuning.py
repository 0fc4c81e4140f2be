"""How a chat is tuned reaches the vendor in its words, or a model that can do it, or the program is told."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from support.served_cases import served

from signoff.foundation.database import Database

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
ROUTES = [{"name": "either", "task": "chat", "use": ["anthropic/says", "says"]}]


async def test_tuning_reaches_the_vendor_or_a_model_that_has_it_or_is_told(database: Database) -> None:
    async with served(database, more={"routes": ROUTES}) as here, here.openai() as client, here.anthropic() as claude:
        chats: Any = client.chat.completions
        drawn: dict[str, Any] = {"top_p": 0.5, "seed": 7, "frequency_penalty": 0.5, "presence_penalty": 0.25}
        await chats.create(model="says", messages=ASK, reasoning_effort="low", **drawn)
        sent = here.vendor.asked[-1].body
        assert {name: sent[name] for name in drawn} == drawn
        assert sent["reasoning_effort"] == "low"
        # Our own temperature of 0 would stand against the draw.
        assert "temperature" not in sent

        # Anthropic has no seed: the route's other model is asked, and by its own name it is a 400 that says so.
        answer = await chats.with_raw_response.create(model="either", messages=ASK, seed=7)
        assert answer.headers["signoff-model"] == "says"
        with pytest.raises(openai.BadRequestError, match="has no `seed`") as refused:
            await chats.create(model="anthropic/says", messages=ASK, seed=7)
        assert refused.value.code == "not_supported_by_model"

        # Thoughts as Anthropic's SDK asks for them, and as OpenAI's responses do.
        asked: Any = claude.messages
        thinking = {"type": "enabled", "budget_tokens": 2_000}
        await asked.create(
            model="anthropic/says", max_tokens=4_000, messages=ASK, extra_body={"top_k": 4, "thinking": thinking}
        )
        sent = here.vendor.asked[-1].body
        assert (sent["top_k"], sent["thinking"]) == (4, thinking)
        told = await client.responses.create(model="responses/says", input="Where?", reasoning={"effort": "high"})
        assert here.vendor.asked[-1].body["reasoning"] == {"effort": "high"}
        assert told.reasoning is not None


async def test_what_a_model_lacks_is_left_out_and_named_where_the_program_or_the_project_wishes(
    database: Database,
) -> None:
    more = {"served": {"unsupported": "drop"}}
    refusing = {"signoff-unsupported": "refuse"}
    async with served(database, more=more) as here, here.openai() as client, here.anthropic() as claude:
        chats: Any = client.chat.completions.with_raw_response
        answer = await chats.create(
            model="anthropic/says", messages=ASK, seed=7, verbosity="low", logit_bias={"5": -1}, logprobs=True
        )
        assert answer.headers["signoff-ignored"] == "logit_bias, logprobs, seed, verbosity"
        assert {"seed", "verbosity", "logit_bias", "logprobs"}.isdisjoint(here.vendor.asked[-1].body)
        streamed = await chats.create(model="anthropic/says", messages=ASK, seed=7, stream=True)
        assert streamed.headers["signoff-ignored"] == "seed"
        assert streamed.headers["signoff-model"] == "anthropic/says"
        with pytest.raises(openai.BadRequestError, match="has no `seed`"):
            await chats.create(model="anthropic/says", messages=ASK, seed=7, extra_headers=refusing)
        with pytest.raises(openai.BadRequestError, match="store"):
            await chats.create(model="says", messages=ASK, store=True, extra_headers=refusing)
        # LiteLLM's programs say so in the body.
        dropped = await chats.create(
            model="says", messages=ASK, store=True, extra_headers=refusing, extra_body={"drop_params": True}
        )
        assert dropped.headers["signoff-ignored"] == "store"
        assert "drop_params" not in here.vendor.asked[-1].body
        told: Any = claude.messages.with_raw_response
        answer = await told.create(model="says", max_tokens=50, messages=ASK, service_tier="standard_only")
        assert answer.headers["signoff-ignored"] == "service_tier"
