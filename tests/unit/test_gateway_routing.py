"""Who may answer a chat: policy, requirements, region, canaries, pins, and an explanation of all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chat_cases import ASKED, HELLO, ScriptedChat, models
from support.gateway_cases import Answered, forbid, permit_all

from signoff.capabilities.gateway import GatewayError, ProviderError
from signoff.capabilities.gateway.asking import ChatError
from signoff.capabilities.gateway.chat import ChatMessage, ChatRequest, ChatTool, ImagePart, TextPart
from signoff.capabilities.gateway.model_facts import facts_of, lies_in
from signoff.catalog.models import Canary, ModelsConfig, ModelSpec, Requires, Route
from signoff.core.labels import DataClass, Labels

PICTURE = ChatRequest((ChatMessage("user", (ImagePart("image/png", b"1"),)),), max_output_tokens=10)
ALL = ("a", "b", "c")


async def chosen(config: Any, gateway: Any, request: ChatRequest = HELLO, **asked: Any) -> tuple[str, dict[str, str]]:
    """Who answered, and why the others were excluded."""
    result = await gateway.chat(request, replace(ASKED, **asked), config, decide=permit_all)
    return result.record.model, {one.model: one.excluded for one in result.record.considered if one.excluded}


@pytest.mark.parametrize(
    ("facts", "request_", "why"),
    [
        ({"modalities": ["text"]}, PICTURE, "does not read image"),
        ({"capabilities": []}, replace(HELLO, tools=(ChatTool("look"),)), "does not do tools"),
        ({"context_tokens": 20}, replace(HELLO, max_output_tokens=21), "reads 20 tokens, and 22 are needed"),
        ({"data_class": "public"}, HELLO, "the data is internal, and it takes up to public"),
        ({"region": "us-east-1"}, HELLO, "is in us-east-1, not in eu"),
        ({}, HELLO, "does not say its `region`"),
    ],
)
async def test_who_lacks_what_is_needed_is_not_asked(facts: dict[str, Any], request_: ChatRequest, why: str):
    lacks = ScriptedChat()
    able = {"region": "eu-west-1"}
    gateway, config = models(
        {"lacks": {**able, **facts} if facts else {}, "able": able}, lacks=lacks, able=ScriptedChat()
    )
    labels = Labels(DataClass.INTERNAL)
    model, excluded = await chosen(config, gateway, request_, region="eu", data_labels=labels)
    assert model == "able"
    assert why in excluded["lacks"]
    assert not lacks.chats


async def test_a_route_requires_too():
    route = Route(("a", "b"), task="chat", requires=Requires(capabilities=frozenset({"structured"})), region="eu")
    told: dict[str, Any] = {
        "a": {"region": "eu", "capabilities": []},
        "b": {"region": "europe-west4", "capabilities": ["structured"]},
    }
    gateway, config = models(told, route, a=ScriptedChat(), b=ScriptedChat())
    assert (await chosen(config, gateway))[0] == "b"


async def test_a_request_names_a_model_a_route_or_nothing():
    chats = {name: ScriptedChat() for name in ALL}
    gateway, config = models(None, Route(("b",), task="chat"), **chats)
    config = replace(config, routes=(*config.routes, Route(("c", "a"), name="careful")))
    assert (await chosen(config, gateway))[0] == "b"
    assert (await chosen(config, gateway, model="a"))[0] == "a"
    assert (await chosen(config, gateway, model="careful"))[0] == "c"
    with pytest.raises(ChatError) as caught:
        await chosen(config, gateway, model="d")
    assert (caught.value.reason, caught.value.retryable) == ("no_route", False)


async def test_a_pin_and_a_canary_say_so():
    route = Route(("a", "b"), task="chat", pin="b", canary=Canary("c", 0.5))
    gateway, config = models(None, route, **{name: ScriptedChat() for name in ALL})
    model, excluded = await chosen(config, gateway)
    assert model == "b"
    assert "pinned to b" in excluded["a"]
    assert "on trial" in excluded["c"]
    trial = replace(route, pin="")
    gateway, config = models(None, trial, {"chance": lambda: 0.25}, **{name: ScriptedChat() for name in ALL})
    assert len({(await chosen(config, gateway))[0] for _ in range(3)}) == 1
    gateway, config = models(None, trial, **{name: ScriptedChat() for name in ALL})
    sticky = {(await chosen(config, gateway, sticky="ana"))[0] for _ in range(6)}
    assert len(sticky) == 1
    drawn = [(await chosen(config, gateway, sticky=f"user {number}"))[0] for number in range(60)]
    assert 15 < drawn.count("c") < 45


@given(
    st.lists(st.sampled_from(["permit", "forbid", "setup", "lacks", "down", "duty"]), min_size=1, max_size=5),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
async def test_excluded_models_are_never_called_and_the_explanation_has_all(kinds: list[str], streamed: bool):
    chats: dict[str, ScriptedChat] = {}
    told: dict[str, Mapping[str, Any]] = {}
    for number, kind in enumerate(kinds):
        name = f"{kind}{number}"
        chats[name] = ScriptedChat([ProviderError("setup", "Down.")] if kind in ("setup", "down") else ["Yes."])
        told[name] = {"modalities": ["text"]} if kind == "lacks" else {}

    def decide(model: str, attributes: Mapping[str, Any], /) -> Answered:
        return Answered(not model.startswith("forbid"), (f"about-{model}",))

    request = replace(HELLO, messages=(*HELLO.messages, *PICTURE.messages))
    gateway, config = models(told, **chats)
    try:
        if streamed:
            stream = await gateway.stream(request, ASKED, config, decide=decide)
            _ = [event async for event in stream]
            record = stream.record
        else:
            record = (await gateway.chat(request, ASKED, config, decide=decide)).record
    except ChatError as error:
        record = error.record
    assert record is not None
    assert sorted(one.model for one in record.considered) == sorted(chats)
    for one in record.considered:
        assert bool(one.excluded) == (one.rank == 0) == one.model.startswith(("forbid", "lacks"))
        assert not one.excluded or not chats[one.model].chats
        assert one.by == ((f"about-{one.model}",) if one.model.startswith("forbid") else ())
    ranks = sorted(one.rank for one in record.considered if one.rank)
    assert ranks == list(range(1, len(ranks) + 1))


async def test_an_explanation_calls_nobody():
    chats = {name: ScriptedChat() for name in ALL}
    gateway, config = models(**chats)
    found = await gateway.explain(ASKED, config, decide=forbid("b"))
    assert [(one.model, one.rank) for one in found] == [("a", 1), ("c", 2), ("b", 0)]
    assert not any(chat.chats for chat in chats.values())
    with pytest.raises(GatewayError):
        await gateway.explain(ASKED, ModelsConfig(), decide=permit_all)


@pytest.mark.parametrize(
    ("model", "settings_", "reads", "sees"),
    [
        ("openai", {"model": "gpt-4o-mini"}, 128_000, True),
        ("anthropic", {"model": "claude-haiku-4-5"}, 200_000, True),
        ("mistral", {"model": "mistral-large-latest"}, 128_000, False),
        ("openai_compatible", {"model": "house-model", "base_url": "http://127.0.0.1:1/v1"}, None, None),
        ("openai_compatible", {"model": "x", "context_tokens": 7, "modalities": ["image"]}, 7, True),
        ("minilm", {}, None, False),
    ],
)
def test_vendors_facts_are_known_and_a_models_own_win(model: str, settings_: Any, reads: int | None, sees: bool | None):
    facts = facts_of(ModelSpec("m", model, settings_))
    assert facts.context_tokens == reads
    assert (None if facts.modalities is None else "image" in facts.modalities) == sees


def test_a_part_of_a_region_lies_in_it():
    def model(**told: Any) -> ModelSpec:
        return ModelSpec("m", told.pop("provider", "openai"), told)

    assert lies_in(model(region="eu-central-1"), "eu")
    assert lies_in(model(region="europe-west4"), "eu")
    assert lies_in(model(provider="minilm"), "eu"), "what runs here leaves for nowhere"
    assert not lies_in(model(region="eurasia"), "eu")
    assert not lies_in(model(), "eu")
    assert lies_in(model(), "")


async def test_the_text_of_a_chat_is_what_is_counted():
    long = replace(HELLO, messages=(ChatMessage("user", (TextPart("word " * 1_000),)),))
    gateway, config = models(
        {"a": {"context_tokens": 500}, "b": {"context_tokens": 5_000}}, a=ScriptedChat(), b=ScriptedChat()
    )
    model, excluded = await chosen(config, gateway, long)
    assert model == "b"
    assert "reads 500 tokens" in excluded["a"]


@pytest.mark.parametrize(
    ("facts", "request_", "reason"),
    [
        ({"modalities": ["text"]}, PICTURE, "cannot"),
        ({"capabilities": []}, replace(HELLO, tools=(ChatTool("look"),)), "cannot"),
        ({"region": "us"}, HELLO, "cannot"),
        ({"context_tokens": 20}, replace(HELLO, max_output_tokens=21), "context_overflow"),
        ({"data_class": "public"}, HELLO, "forbidden"),
    ],
)
async def test_what_no_model_can_do_is_the_requests_fault_and_not_worth_another_try(
    facts: dict[str, Any], request_: ChatRequest, reason: str
):
    gateway, config = models({"lacks": {"region": "eu", **facts}}, lacks=ScriptedChat())
    labels = Labels(DataClass.INTERNAL)
    with pytest.raises(ChatError) as caught:
        await chosen(config, gateway, request_, region="eu", data_labels=labels)
    assert (caught.value.reason, caught.value.retryable) == (reason, False)


def test_the_local_language_model_holds_answers_to_schemas_and_calls_no_tools() -> None:
    assert facts_of(ModelSpec("local/qwen", "qwen")).capabilities == {"structured"}
