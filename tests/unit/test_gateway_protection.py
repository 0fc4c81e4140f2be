"""What permits demand for personal data is done for that model, on everything that it is sent."""

from __future__ import annotations

import logging
from typing import Any

import orjson
import pytest
from support.gateway_cases import Answered, project, task

from signoff.capabilities.gateway import GatewayError, ProviderError
from signoff.capabilities.gateway.protection import Protector
from signoff.catalog.prompts import Example, PromptMessage
from signoff.governance.policy import Obligation
from signoff.governance.privacy import Detector
from signoff.testing import ScriptedProvider

CARD, EMAIL = "4111 1111 1111 1111", "ana@example.com"
SCHEMA = {
    "type": "object",
    "properties": {"email": {"type": "string", "maxLength": 20}},
    "required": ["email"],
    "additionalProperties": False,
}


def asked(**changes: Any):
    text = f"Card {CARD} of {EMAIL}"
    given = {
        "messages": (PromptMessage("system", f"About {EMAIL}."), PromptMessage("user", text)),
        "variables": {"text": text, "deep": [{"card": CARD}]},
        "examples": (Example({"text": f"Card {CARD}"}, {"email": EMAIL}),),
        "output_schema": SCHEMA,
        "task": "generate",
    }
    return task(**{**given, **changes})


def demanding(**duties: tuple[str, str]):
    """Permits that demand one thing each, by model."""

    def decide(model: str, attributes: Any, /) -> Answered:
        kind_and_value = duties.get(model)
        obligations = (Obligation(*kind_and_value, "eu-data"),) if kind_and_value else ()
        return Answered(permit=True, policies=("eu-data",), obligations=obligations)

    return decide


def protected_project(**providers: ScriptedProvider):
    return project(protector=Protector(Detector()), **providers)


def sent(provider: ScriptedProvider) -> str:
    return repr(provider.requests)


async def test_redaction_reaches_messages_variables_and_examples():
    first = ScriptedProvider(['{"email": "none"}'])
    gateway, config = protected_project(first=first)
    await gateway.complete(asked(), config, decide=demanding(first=("redact", "financial, contact")))
    assert "4111" not in sent(first)
    assert EMAIL not in sent(first)
    assert first.requests[0].messages[1].content == "Card [CREDIT_CARD] of [EMAIL_ADDRESS]"


async def test_tokens_go_out_and_values_come_back_before_the_schema_is_asked():
    def answer(request: Any) -> str:
        token = request.messages[1].content.rsplit(" ", 1)[1]
        return orjson.dumps({"email": token}).decode()

    first = ScriptedProvider([answer], repeat=True)
    gateway, config = protected_project(first=first)
    result = await gateway.complete(asked(), config, decide=demanding(first=("tokenise", "contact")))
    assert result.output == {"email": EMAIL}
    assert EMAIL not in sent(first)
    assert "4111" in sent(first), "only what the permit names is replaced"


async def test_a_repair_quotes_no_restored_value():
    def answer(request: Any) -> str:
        token = request.messages[1].content.rsplit(" ", 1)[1]
        return orjson.dumps({"email": f"{token} {token}"}).decode()

    first = ScriptedProvider([answer], repeat=True)
    gateway, config = protected_project(first=first)
    with pytest.raises(GatewayError):
        await gateway.complete(asked(), config, decide=demanding(first=("tokenise", "contact")))
    assert len(first.requests) == 3
    assert EMAIL not in sent(first)


async def test_a_fallback_has_the_duties_of_its_own_permit():
    first, second = ScriptedProvider([ProviderError("unavailable", "down")]), ScriptedProvider(['{"email": "none"}'])
    gateway, config = protected_project(first=first, second=second)
    await gateway.complete(asked(), config, decide=demanding(second=("redact", "contact")))
    assert EMAIL in sent(first)
    assert EMAIL not in sent(second)


async def test_blocked_data_passes_the_model_over_and_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    first = ScriptedProvider(['{"email": "none"}'])
    gateway, config = protected_project(first=first)
    with pytest.raises(GatewayError, match="CREDIT_CARD") as caught:
        await gateway.complete(asked(), config, decide=demanding(first=("block", "financial")))
    assert caught.value.kind == "forbidden"
    assert "4111" not in str(caught.value) + caplog.text
    assert not first.requests
    clean = asked(messages=(PromptMessage("user", "Hello"),), variables={}, examples=())
    await gateway.complete(clean, config, decide=demanding(first=("block", "financial")))


async def test_texts_to_embed_are_redacted_for_either_duty():
    for duty in ("redact", "tokenise"):
        first = ScriptedProvider([])
        gateway, config = protected_project(first=first)
        await gateway.embed([f"Card {CARD}"], config, decide=demanding(first=(duty, "financial")))
        assert first.embedded == ["Card [CREDIT_CARD]"]


@pytest.mark.parametrize("value", ["pii", "names", "pi"])
async def test_what_cannot_be_found_or_is_not_known_is_forbidden(value: str):
    first = ScriptedProvider(['{"email": "none"}'])
    gateway, config = protected_project(first=first)
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(asked(), config, decide=demanding(first=("redact", value)))
    assert caught.value.kind == "forbidden"
    assert not first.requests
