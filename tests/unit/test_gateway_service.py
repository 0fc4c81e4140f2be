"""The gateway's order of things: policy, route, budget, call, validation, repair, fallback, accounting."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from support.chat_cases import ASKED
from support.gateway_cases import GOOD, Answered, forbid, permit_all, project, task

from signoff.capabilities.gateway import Attempt, Budget, Gateway, GatewayError, ProviderError, ProviderReply
from signoff.capabilities.gateway.asking import CallRecord
from signoff.capabilities.gateway.chat import ChatUsage
from signoff.catalog.models import ModelsConfig, ModelSpec, Route
from signoff.core.labels import Labels, Trust
from signoff.core.money import Cost
from signoff.governance.policy import Obligation
from signoff.testing import ScriptedProvider


async def test_gateway_returns_validated_output_with_its_usage():
    first = ScriptedProvider([GOOD], input_tokens=30, output_tokens=8)
    gateway, config = project(first=first)
    result = await gateway.complete(task(), config, decide=permit_all)
    assert result.output == GOOD
    assert (result.model, result.provider, result.finish_reason) == ("first", "scripted", "stop")
    assert (result.usage.model_calls, result.usage.input_tokens, result.usage.output_tokens) == (1, 30, 8)
    assert [attempt.outcome for attempt in result.attempts] == ["ok"]
    assert first.requests[0].messages == task().messages


class Kept:
    """Keeps records in a list."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def record(self, record: CallRecord) -> None:
        self.records.append(record)


async def test_each_try_is_paid_by_the_parts_that_its_vendor_reports():
    reported = [ChatUsage(1_000, 20, cached_input_tokens=800, reported=True), ChatUsage(1_100, 10, reported=True)]
    answers = [
        ProviderReply(text, usage.input_tokens, usage.output_tokens, usage=usage)
        for text, usage in zip(("no JSON", '{"label": "refund", "confidence": 0.9}'), reported, strict=True)
    ]
    price = {"input_usd": 10, "output_usd": 50, "cached_input_usd": 1}
    config = ModelsConfig({"m": ModelSpec("m", "scripted", {"price": price})}, (Route(("m",)),))
    provider, recorder = ScriptedProvider(answers, local=False), Kept()
    gateway = Gateway({"scripted": provider.factory}, environment={}, recorder=recorder)
    result = await gateway.complete(task(), config, decide=permit_all, asked=replace(ASKED, task="classify"))
    # 200 x 10 + 800 x 1 + 20 x 50 and 1,100 x 10 + 10 x 50 millionths of a dollar.
    assert [one.usage.cost.micro_usd for one in result.attempts] == [3_800, 11_500]
    assert [one.tokens for one in recorder.records[0].tried] == reported
    assert recorder.records[0].tokens == reported[1]


async def test_garbage_is_repaired_with_its_problems_and_every_try_is_counted():
    first = ScriptedProvider(["no JSON at all", '{"label": "parcel", "confidence": 2}', GOOD])
    gateway, config = project(first=first)
    result = await gateway.complete(task(), config, decide=permit_all)
    assert result.output == GOOD
    assert [attempt.outcome for attempt in result.attempts] == ["contract", "contract", "ok"]
    assert result.usage.model_calls == 3
    assert result.usage.input_tokens == 30
    told = first.requests[1].messages
    assert told[-2].content == "no JSON at all"
    assert "not JSON" in told[-1].content
    problems = first.requests[2].messages[-1].content
    assert "/label" in problems
    assert "/confidence" in problems
    assert len(first.requests[2].messages) == len(task().messages) + 2, "a repair shows the last wrong answer only"


async def test_garbage_three_times_is_a_contract_error_with_bounded_problems():
    secret = "4111-1111-1111-1111"  # what a customer might have written
    long_garbage = '{"label": "' + secret + "x" * 50_000 + '"}'
    first = ScriptedProvider([long_garbage], repeat=True)
    gateway, config = project(first=first)
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=permit_all)
    error = caught.value
    assert error.kind == "model_contract"
    assert not error.retryable
    assert error.problems
    assert error.usage.model_calls == 3
    assert len(first.requests) == 3
    assert secret not in str(error.as_problem_details())
    assert len(str(error)) < 2_000


@pytest.mark.parametrize(
    "answer",
    ["", "[]", "null", '"text"', "{", '{"label": NaN}', '{"label": "refund"} {"label": "refund"}', '{"a": "\\ud800"}'],
)
async def test_what_is_no_strict_json_object_breaks_the_contract(answer: str):
    gateway, config = project(first=ScriptedProvider([answer], repairable=False))
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=permit_all)
    assert caught.value.kind == "model_contract"


async def test_a_whole_number_that_would_be_rounded_breaks_the_contract_and_is_told():
    first = ScriptedProvider(['{"label": "refund", "confidence": 0.9, "order": 123456789012345678901}', GOOD])
    gateway, config = project(first=first)
    assert (await gateway.complete(task(), config, decide=permit_all)).output == GOOD
    assert "character 48 of the answer has more than 64 bits" in first.requests[1].messages[-1].content


async def test_deeply_nested_or_huge_answers_break_the_contract():
    for answer in ("[" * 100_000, '{"label": "' + "x" * 300_000 + '"}'):
        gateway, config = project(first=ScriptedProvider([answer], repairable=False))
        with pytest.raises(GatewayError) as caught:
            await gateway.complete(task(), config, decide=permit_all)
        assert caught.value.kind == "model_contract"


async def test_a_code_fence_around_the_whole_answer_is_no_garbage():
    fenced = '```json\n{"label": "refund", "confidence": 0.9}\n```'
    gateway, config = project(first=ScriptedProvider([fenced]))
    assert (await gateway.complete(task(), config, decide=permit_all)).output == GOOD


async def test_a_cut_answer_is_told_so():
    first = ScriptedProvider([ProviderReply('{"label": "ref', 5, 50, "length"), GOOD])
    gateway, config = project(first=first)
    await gateway.complete(task(), config, decide=permit_all)
    assert "cut off" in first.requests[1].messages[-1].content


async def test_text_without_a_schema_is_the_output():
    gateway, config = project(first=ScriptedProvider(["Dear Ana, …"]))
    result = await gateway.complete(task(task="generate", output_schema=None), config, decide=permit_all)
    assert result.output == {"text": "Dear Ana, …"}


async def test_a_rule_is_not_asked_twice():
    rule = ScriptedProvider(["garbage"], repairable=False)
    gateway, config = project(rule=rule)
    with pytest.raises(GatewayError):
        await gateway.complete(task(), config, decide=permit_all)
    assert len(rule.requests) == 1


@pytest.mark.parametrize("kind", ["timeout", "rate_limited", "unavailable", "setup", "rejected", "cannot"])
async def test_the_next_candidate_answers_where_the_first_cannot(kind: Any):
    gateway, config = project(
        first=ScriptedProvider([ProviderError(kind, "scripted")]), second=ScriptedProvider([GOOD])
    )
    result = await gateway.complete(task(), config, decide=permit_all)
    assert result.model == "second"
    assert [attempt.outcome for attempt in result.attempts] == [kind, "ok"]
    assert result.usage.model_calls == 2


async def test_the_next_candidate_answers_where_the_first_breaks_the_contract():
    gateway, config = project(first=ScriptedProvider(["?"], repeat=True), second=ScriptedProvider([GOOD]))
    result = await gateway.complete(task(), config, decide=permit_all)
    assert [attempt.outcome for attempt in result.attempts] == ["contract", "contract", "contract", "ok"]


async def test_all_unavailable_is_retryable_after_the_shortest_wait():
    gateway, config = project(
        first=ScriptedProvider([ProviderError("rate_limited", "slow down", retry_after_s=30)]),
        second=ScriptedProvider([ProviderError("unavailable", "down", retry_after_s=7)]),
    )
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=permit_all)
    error = caught.value
    assert (error.kind, error.retryable, error.retry_after_s) == ("model_unavailable", True, 7)
    assert "first: slow down" in str(error)
    assert "second: down" in str(error)


async def test_wrong_setup_is_not_worth_a_retry():
    gateway, config = project(first=ScriptedProvider([ProviderError("setup", "key refused")]))
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=permit_all)
    assert (caught.value.kind, caught.value.retryable) == ("model_unavailable", False)


async def test_a_refusal_asks_no_other_model():
    second = ScriptedProvider([GOOD])
    gateway, config = project(first=ScriptedProvider([ProviderReply("", 9, 0, "refusal")]), second=second)
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=permit_all)
    assert caught.value.kind == "model_refused"
    assert caught.value.usage.input_tokens == 9
    assert not second.requests


async def test_a_call_is_cut_off_at_its_timeout():
    async def never(_: Any) -> str:
        await asyncio.Event().wait()
        return ""

    gateway, config = project(first=ScriptedProvider([never]))
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(timeout_s=0.02), config, decide=permit_all)
    assert (caught.value.kind, caught.value.retryable) == ("model_unavailable", True)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["timeout"]


async def test_a_cancelled_call_is_still_observed():
    started = asyncio.Event()

    async def never(_: Any) -> str:
        started.set()
        await asyncio.Event().wait()
        return ""

    seen: list[Attempt] = []
    budget = Budget(Cost(1_000))
    gateway, config = project(first=ScriptedProvider([never]))
    running = asyncio.create_task(
        gateway.complete(task(), config, decide=permit_all, budget=budget, observe=seen.append)
    )
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [attempt.outcome for attempt in seen] == ["cancelled"]
    assert budget.left == Cost(1_000)


async def test_policy_is_asked_before_every_candidate_with_its_attributes():
    asked: list[tuple[str, Any]] = []

    def decide(model: str, attributes: Any, /) -> Answered:
        asked.append((model, dict(attributes)))
        return Answered(permit=True)

    gateway, config = project(
        first=ScriptedProvider([ProviderError("unavailable", "down")], local=False),
        second=ScriptedProvider([GOOD]),
    )
    await gateway.complete(task(), config, decide=decide)
    assert asked == [
        ("first", {"provider": "first", "local": False, "task": "classify", "prompt": "classify", "region": ""}),
        *2
        * [("second", {"provider": "second", "local": True, "task": "classify", "prompt": "classify", "region": ""})],
    ]


async def test_a_forbidden_candidate_is_passed_over_unasked():
    first = ScriptedProvider([GOOD])
    gateway, config = project(first=first, second=ScriptedProvider([GOOD]))
    result = await gateway.complete(task(), config, decide=forbid("first"))
    assert result.model == "second"
    assert not first.requests


async def test_all_forbidden_is_forbidden_and_names_the_policies():
    gateway, config = project(first=ScriptedProvider([GOOD]), second=ScriptedProvider([GOOD]))
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=forbid("first", "second"))
    assert caught.value.kind == "forbidden"
    assert "no-first" in str(caught.value)
    assert caught.value.attempts == ()


def demanding(model: str, attributes: Any, /) -> Answered:
    """A permit for the first model that demands what the gateway does not do."""
    duties = (Obligation("retain", "30d", "eu-data"),) if model == "first" else ()
    return Answered(permit=True, policies=("eu-data",), obligations=duties)


async def test_a_permit_with_an_obligation_that_nothing_here_carries_out_is_no_permit():
    first = ScriptedProvider([GOOD])
    gateway, config = project(first=first)
    with pytest.raises(GatewayError, match=r'eu-data.*@retain\("30d"\)') as caught:
        await gateway.complete(task(), config, decide=demanding)
    assert caught.value.kind == "forbidden"
    with pytest.raises(GatewayError, match=r'@retain\("30d"\)') as caught:
        await gateway.embed(["a"], config, decide=demanding)
    assert caught.value.kind == "forbidden"
    assert not first.requests


async def test_a_candidate_with_such_an_obligation_is_passed_over_for_one_without():
    first = ScriptedProvider([GOOD])
    gateway, config = project(first=first, second=ScriptedProvider([GOOD]))
    assert (await gateway.complete(task(), config, decide=demanding)).model == "second"
    assert not first.requests


async def test_a_fallback_that_is_forbidden_stays_forbidden():
    second = ScriptedProvider([GOOD])
    gateway, config = project(first=ScriptedProvider([ProviderError("unavailable", "down")]), second=second)
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=forbid("second"))
    assert (caught.value.kind, caught.value.retryable) == ("model_unavailable", True)
    assert not second.requests


async def test_the_first_matching_route_wins():
    one, two = ScriptedProvider([GOOD]), ScriptedProvider([GOOD])
    specs = {name: ModelSpec(name, name) for name in ("one", "two")}
    routes = (Route(("two",), prompt="classify"), Route(("one",), task="classify"))
    gateway = Gateway({"one": one.factory, "two": two.factory})
    result = await gateway.complete(task(), ModelsConfig(specs, routes), decide=permit_all)
    assert result.model == "two"


async def test_no_route_says_what_to_write():
    gateway = Gateway({})
    with pytest.raises(GatewayError, match="task: classify") as caught:
        await gateway.complete(task(), ModelsConfig(), decide=permit_all)
    assert not caught.value.retryable


async def test_an_unknown_provider_names_the_known_ones():
    config = ModelsConfig({"m": ModelSpec("m", "oracle")}, (Route(("m",)),))
    with pytest.raises(GatewayError, match=r"no provider .oracle..*minilm"):
        await Gateway().complete(task(), config, decide=permit_all)


async def test_a_provider_that_does_not_do_the_task_is_passed_over():
    gateway, config = project(first=ScriptedProvider([GOOD], tasks={"extract"}), second=ScriptedProvider([GOOD]))
    assert (await gateway.complete(task(), config, decide=permit_all)).model == "second"


async def test_providers_are_made_once_and_closed_with_the_gateway():
    made: list[str] = []
    closed: list[str] = []

    class Closing(ScriptedProvider):
        async def aclose(self) -> None:
            closed.append(self.name)

    def factory(spec: ModelSpec) -> ScriptedProvider:
        made.append(spec.name)
        return Closing([GOOD], repeat=True)

    config = ModelsConfig({"m": ModelSpec("m", "k", {"model": "x"})}, (Route(("m",)),))
    gateway = Gateway({"k": factory})
    await asyncio.gather(*(gateway.complete(task(), config, decide=permit_all) for _ in range(5)))
    await gateway.aclose()
    assert made == ["m"]
    assert closed == ["scripted"]


async def test_settings_come_from_the_environment_and_a_missing_one_is_named():
    seen: list[Any] = []

    def factory(spec: ModelSpec) -> ScriptedProvider:
        seen.append(spec.settings)
        return ScriptedProvider([GOOD])

    spec = ModelSpec("m", "k", {"api_key": "${env.KEY}", "nested": {"a": "x${env.KEY}"}, "n": 3})
    config = ModelsConfig({"m": spec}, (Route(("m",)),))
    await Gateway({"k": factory}, environment={"KEY": "s3cret"}).complete(task(), config, decide=permit_all)
    assert seen == [{"api_key": "s3cret", "nested": {"a": "xs3cret"}, "n": 3}]
    with pytest.raises(GatewayError, match="environment variable KEY") as caught:
        await Gateway({"k": factory}, environment={}).complete(task(), config, decide=permit_all)
    assert not caught.value.retryable


async def test_embeddings_come_with_their_model():
    gateway, config = project(first=ScriptedProvider(), second=ScriptedProvider())
    embedded = await gateway.embed(["a cat", "a dog"], config, decide=forbid("first"))
    assert embedded.model == "second"
    assert len(embedded.vectors) == 2
    assert sum(value * value for value in embedded.vectors[0]) == pytest.approx(1.0)


async def test_embedding_without_a_permitted_model_is_forbidden():
    gateway, config = project(first=ScriptedProvider())
    with pytest.raises(GatewayError) as caught:
        await gateway.embed(["a"], config, decide=forbid("first"))
    assert caught.value.kind == "forbidden"


def test_data_labels_travel_with_the_task():
    assert task(data_labels=Labels(trust=Trust.UNTRUSTED)).data_labels.trust is Trust.UNTRUSTED
