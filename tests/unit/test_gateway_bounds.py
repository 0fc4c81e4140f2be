"""A permit's `@max_tokens`, `@stop` and `@tools` bound what a model may be asked for and what it may answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.chat_cases import ASKED, HELLO, USAGE, ScriptedChat, models
from support.gateway_cases import GOOD, Answered, project, task

from signoff.capabilities.gateway import GatewayError
from signoff.capabilities.gateway.asking import ChatError
from signoff.capabilities.gateway.chat import ChatReply, ChatTool, OnlyTool, StreamEnd, TextDelta, TextPart
from signoff.capabilities.gateway.tuning import Tuning
from signoff.core.errors import DefinitionError
from signoff.governance.policy import Obligation, PolicySet
from signoff.testing import ScriptedProvider

OFFERED = replace(HELLO, tools=(ChatTool("mail.read"), ChatTool("mail.send")))


def bounding(**demands: Mapping[str, str]) -> Any:
    """Policy that permits all, with the named models' obligations."""

    def decide(model: str, attributes: Mapping[str, Any], /) -> Answered:
        duties = tuple(Obligation(kind, value, "p") for kind, value in demands.get(model, {}).items())
        return Answered(permit=True, obligations=duties)

    return decide


def long(words: int = 300) -> ChatReply:
    return ChatReply((TextPart("word " * words),), "stop", usage=USAGE)


@pytest.mark.parametrize(("asked_for", "sent"), [(None, 20), (50, 20), (10, 10)])
async def test_an_answer_has_no_more_tokens_than_the_permit_allows(asked_for: int | None, sent: int):
    one = ScriptedChat([long()])
    gateway, config = models(one=one)
    request = replace(HELLO, max_output_tokens=asked_for)
    result = await gateway.chat(request, ASKED, config, decide=bounding(one={"max_tokens": "20"}))
    assert one.chats[0].max_output_tokens == sent
    assert result.reply.finish_reason == "length"
    assert len(result.reply.text) == sent * 20 + 200
    assert result.record.signals["bounds"] == {"max_tokens": 20}
    assert result.record.considered[0].why["bounds"] == '@max_tokens("20")'


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_ends_at_the_permits_stop_texts_whatever_its_vendor_does(*, streamed: bool):
    pieces = ["one E", "N", "D two"]
    whole = ChatReply((TextPart("".join(pieces)),), "stop", usage=USAGE)
    one = ScriptedChat([[*map(TextDelta, pieces), StreamEnd(whole)] if streamed else whole])
    gateway, config = models(one=one)
    decide = bounding(one={"stop": '["END", "###"]'})
    if streamed:
        events = [event async for event in await gateway.stream(HELLO, ASKED, config, decide=decide)]
        said = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert isinstance(events[-1], StreamEnd)
        assert events[-1].reply.finish_reason == "stop"
    else:
        said = (await gateway.chat(HELLO, ASKED, config, decide=decide)).reply.text
    assert said == "one "
    assert one.chats[0].stop == (), "some models refuse a request with stop texts"


@pytest.mark.parametrize("request_", [OFFERED, replace(OFFERED, tool_choice=OnlyTool("mail.send"))])
async def test_a_tool_that_the_permit_does_not_allow_is_not_offered(request_: Any):
    one, two = ScriptedChat(), ScriptedChat(["Fine."])
    gateway, config = models(one=one, two=two)
    decide = bounding(one={"tools": "mail.read, mail.list"}, two={"tools": "mail.read,mail.send"})
    result = await gateway.chat(request_, ASKED, config, decide=decide)
    assert (len(one.chats), len(two.chats)) == (0, 1)
    assert result.record.model == "two"
    with pytest.raises(ChatError) as caught:
        await gateway.chat(request_, ASKED, config, decide=bounding(one={"tools": "none"}, two={"tools": "none"}))
    assert caught.value.kind == "forbidden"
    assert "allows these tools: none; the request offers others: mail.read, mail.send" in caught.value.detail


async def test_what_held_for_a_model_that_failed_is_not_said_of_the_next():
    gateway, config = models(one=ScriptedChat(), two=ScriptedChat(["Fine."]))
    result = await gateway.chat(OFFERED, ASKED, config, decide=bounding(one={"tools": "none", "max_tokens": "5"}))
    assert result.record.model == "two"
    assert "bounds" not in result.record.signals


async def test_more_thoughts_than_the_permits_tokens_are_not_asked_for():
    one = ScriptedChat()
    one.tunings = frozenset({"thinking_tokens"})  # pyright: ignore[reportAttributeAccessIssue]  (makes it tunable)
    gateway, config = models(one=one)
    request = replace(HELLO, tuning=Tuning(thinking_tokens=2_000), max_output_tokens=4_000)
    with pytest.raises(ChatError, match="answers of 2000 tokens, and 2000 are asked for thoughts alone"):
        await gateway.chat(request, ASKED, config, decide=bounding(one={"max_tokens": "2000"}))
    assert not one.chats


async def test_two_permits_allow_what_both_allow():
    def decide(model: str, attributes: Mapping[str, Any], /) -> Answered:
        duties = [("max_tokens", "30"), ("max_tokens", "20"), ("stop", "A"), ("stop", "B")]
        duties += [("tools", "mail.read, mail.send, crm.find"), ("tools", "mail.send, mail.read")]
        return Answered(permit=True, obligations=tuple(Obligation(*duty, "p") for duty in duties))

    gateway, config = models(one=ScriptedChat(["so it goes. B after A"]))
    result = await gateway.chat(OFFERED, ASKED, config, decide=decide)
    assert result.reply.text == "so it goes. "
    assert result.record.signals["bounds"] == {
        "max_tokens": 20,
        "stop": ["A", "B"],
        "tools": ["mail.read", "mail.send"],
    }


# --- steps ------------------------------------------------------------------------------------------------------------


def of_step(**demands: str) -> Any:
    return bounding(m=demands)


async def test_a_steps_free_text_is_cut_at_the_permits_stop_text():
    model = ScriptedProvider(["Dear Ana, ### internal note"])
    gateway, config = project(m=model)
    found: dict[str, Any] = {}
    done = await gateway.complete(
        task(task="generate", output_schema=None, labels={}),
        config,
        decide=of_step(stop="###", max_tokens="40"),
        signalled=found.update,
    )
    assert done.output == {"text": "Dear Ana, "}
    assert model.requests[0].max_output_tokens == 40
    assert found["bounds"] == {"max_tokens": 40, "stop": ["###"]}


async def test_a_value_of_a_steps_answer_has_no_stop_text_in_it():
    schema = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
    gateway, config = project(m=ScriptedProvider(['{"note": "fine ### not"}', '{"note": "fine"}']))
    extract = task(task="extract", output_schema=schema, labels={}, repairs=1)
    done = await gateway.complete(extract, config, decide=of_step(stop="###"))
    assert done.output == {"note": "fine"}
    assert done.attempts[0].broken == ("stop",)


async def test_a_steps_free_text_that_is_cut_says_so():
    gateway, config = project(m=ScriptedProvider(["word " * 300]))
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(
            task(task="generate", output_schema=None, labels={}, repairs=0),
            config,
            decide=of_step(max_tokens="5"),
        )
    assert caught.value.kind == "model_truncated"
    assert "5 tokens" in caught.value.detail


async def test_a_classification_is_bounded_by_its_schema_alone():
    gateway, config = project(m=ScriptedProvider([GOOD]))
    done = await gateway.complete(task(), config, decide=of_step(stop="###", tools="none"))
    assert done.output == GOOD


# --- how they are written ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ('@max_tokens("many")', "is written as @max_tokens"),
        ('@max_tokens("0")', "from 1 to"),
        ('@stop("[\\"a\\"")', "begins like a JSON list"),
        ('@stop("[\\"a\\", 1]")', "is written as @stop"),
        ('@tools(" , ")', '@tools("none")'),
        ('@tools("")', "says nothing"),
    ],
)
def test_what_cannot_be_carried_out_is_a_problem_of_the_release(annotation: str, says: str):
    with pytest.raises(DefinitionError) as caught:
        PolicySet.parse({"a.cedar": f'@id("a") {annotation} permit (principal, action, resource);'})
    assert says in str(caught.value.problems[0])


def test_they_are_known_to_policy():
    text = '@id("a") @max_tokens("5") @stop("[DONE]") @tools("none") permit (principal, action, resource);'
    assert PolicySet.parse({"a.cedar": text}).warnings() == ()
