"""Every recorded chat exchange of 14 vendors becomes what its raw body says, over HTTP, through our providers.

What the raw body says is extracted by `support.wire_expected`, which shares nothing with the product's parsers.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.wire_cases import PROVIDERS, Replay, exchanges, is_chat
from support.wire_expected import bodies, said

from signoff.capabilities.gateway.chat import ChatReply, StreamEnd
from signoff.capabilities.gateway.provider import ProviderError

ERROR_KINDS = {401: "setup", 403: "setup", 404: "setup", 429: "rate_limited", 500: "unavailable"}


def different(exchange: dict[str, Any], outcome: ChatReply | StreamEnd | ProviderError) -> list[str]:
    """How an outcome differs from what the exchange says."""
    status = exchange["response"]["status"]
    if status >= 400:
        code = json.dumps(bodies(exchange)[0][0])
        kind = ERROR_KINDS.get(status, "setup" if "model_not_found" in code else "rejected")
        return [] if isinstance(outcome, ProviderError) and outcome.kind == kind else [f"error {outcome!r}, not {kind}"]
    expected = said(exchange)
    if isinstance(outcome, ProviderError):
        return [f"{outcome.kind}: {outcome.detail}"]
    reply = outcome.reply if isinstance(outcome, StreamEnd) else outcome
    used = reply.usage
    tokens = (used.input_tokens, used.output_tokens, used.cached_input_tokens, used.reasoning_tokens)
    pairs = {
        "text": (reply.text, expected.text),
        "tools": ([(call.name, json.loads(call.arguments)) for call in reply.tool_calls], expected.tools),
        "finish": (reply.finish_reason, expected.finish),
        "refusal": (reply.refusal, expected.refusal),
        "tokens": (tokens if used.reported else None, expected.tokens),
        "incomplete says why": (
            isinstance(outcome, StreamEnd) and outcome.failure is not None,
            isinstance(outcome, StreamEnd) and expected.finish == "incomplete",
        ),
        "model": (reply.model, expected.model),
        "request id": (reply.request_id, expected.id),
    }
    return [f"{name}: {got!r} != {wanted!r}" for name, (got, wanted) in pairs.items() if got != wanted]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_every_recorded_chat_is_what_its_body_says(provider: str):
    wrong: list[str] = []
    chats = [exchange for exchange in exchanges(provider) if is_chat(exchange)]
    async with Replay() as replay:
        for exchange in chats:
            found = different(exchange, await replay.outcome(exchange))
            wrong += [f"{exchange['cassette']} {exchange['seq']} {exchange['api']}: {item}"[:600] for item in found]
    print(f"{provider}: {len(chats) - len({item.split(': ')[0] for item in wrong})} of {len(chats)}")
    assert not wrong, "\n".join(wrong)
