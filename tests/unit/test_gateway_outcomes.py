"""How tasks fail: each way has a kind of its own, which workflows branch on."""

from __future__ import annotations

from typing import Any

import pytest
from support.gateway_cases import GOOD, forbid, permit_all, project, task

from signoff.capabilities.gateway import GatewayError, ProviderError, ProviderReply
from signoff.testing import ScriptedProvider

CUT = ProviderReply('{"label": "ref', 5, 50, "length")
TEXT_CUT = ProviderReply("Dear Ana, we", 5, 50, "length")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (ProviderReply("", finish_reason="refusal"), "model_refused"),
        (ProviderReply("", finish_reason="content_filter"), "model_filtered"),
        (ProviderError("content_filter", "The input was refused."), "model_filtered"),
        (CUT, "model_truncated"),
        (ProviderReply("{}", finish_reason="stop"), "model_contract"),
        (ProviderError("context_overflow", "Too long."), "context_overflow"),
        (ProviderError("rate_limited", "Slow down."), "model_unavailable"),
    ],
)
async def test_each_way_to_fail_has_its_kind(said: Any, kind: str):
    gateway, config = project(one=ScriptedProvider([said], repeat=True))
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=permit_all)
    assert caught.value.kind == kind


async def test_a_cut_text_is_no_answer_and_another_model_may_give_one():
    cut = ScriptedProvider([TEXT_CUT], repeat=True)
    gateway, config = project(one=cut, two=ScriptedProvider(["Dear Ana, welcome."]))
    written = task(task="generate", output_schema=None)
    result = await gateway.complete(written, config, decide=permit_all)
    assert (result.model, result.output) == ("two", {"text": "Dear Ana, welcome."})
    assert {attempt.outcome for attempt in result.attempts[:-1]} == {"truncated"}
    gateway, config = project(one=ScriptedProvider([TEXT_CUT], repeat=True))
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(written, config, decide=permit_all)
    assert caught.value.kind == "model_truncated"


@pytest.mark.parametrize("finish", ["refusal", "content_filter"])
async def test_neither_a_refusal_nor_a_filter_is_gone_round(finish: Any):
    two = ScriptedProvider([GOOD])
    gateway, config = project(one=ScriptedProvider([ProviderReply("", finish_reason=finish)]), two=two)
    with pytest.raises(GatewayError):
        await gateway.complete(task(), config, decide=permit_all)
    assert not two.requests


async def test_tasks_never_ask_an_excluded_model():
    one = ScriptedProvider([GOOD])
    gateway, config = project(one=one, two=ScriptedProvider([GOOD]))
    assert (await gateway.complete(task(), config, decide=forbid("one"))).model == "two"
    assert not one.requests
