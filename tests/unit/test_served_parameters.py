"""Every parameter that the official SDKs' requests carry is known: carried out, taken as a hint, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import MessageCountTokensParams, OutputConfigParam
from anthropic.types.beta.message_create_params import MessageCreateParamsBase as BetaMessage
from anthropic.types.message_create_params import MessageCreateParamsBase as Message
from openai.types import EmbeddingCreateParams
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionStreamOptionsParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as Completion
from openai.types.responses import ResponseTextConfigParam
from openai.types.responses.response_create_params import ResponseCreateParamsBase as ResponseRequest
from openai.types.shared_params import Reasoning

from signoff.api.compatible import chat_request, lists, messages_request, responses_request
from signoff.api.compatible.chat_request import Bounds, read_chat
from signoff.api.compatible.members import Known, RequestError
from signoff.api.compatible.messages_request import read_messages
from signoff.api.compatible.responses_request import read_response
from signoff.api.compatible.tuning import REASONING, TUNING, read_tuning
from signoff.capabilities.gateway.tuning import UNTUNED, Tuning

BOUNDS = Bounds(messages=4, tools=4)
DROPPING = Bounds(messages=4, tools=4, drops=True)
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGE = {**CHAT, "max_tokens": 9}
RESPONSE: dict[str, Any] = {"model": "m", "input": "Hello"}

REQUESTS: list[tuple[Any, Known]] = [
    (Completion, chat_request.KNOWN),
    (ResponseRequest, responses_request.KNOWN),
    (Message, messages_request.KNOWN),
    (BetaMessage, messages_request.KNOWN),
    (MessageCountTokensParams, messages_request.COUNTED),
    (EmbeddingCreateParams, lists.EMBEDDING),
    (ChatCompletionUserMessageParam, chat_request.MESSAGE),
    (ChatCompletionAssistantMessageParam, chat_request.ASSISTANT),
    (ChatCompletionToolMessageParam, chat_request.TOOL_RESULT),
    (ChatCompletionStreamOptionsParam, chat_request.STREAM_OPTIONS),
    (Reasoning, REASONING),
    (ResponseTextConfigParam, responses_request.TEXT),
    (OutputConfigParam, messages_request.OUTPUT),
]


@pytest.mark.parametrize(("carried", "known"), REQUESTS, ids=lambda one: getattr(one, "__name__", ""))
def test_every_member_that_an_sdk_carries_is_known(carried: Any, known: Known) -> None:
    assert {*carried.__required_keys__, *carried.__optional_keys__} - known.members == set()


@pytest.mark.parametrize("known", [known for _, known in REQUESTS], ids=[carried.__name__ for carried, _ in REQUESTS])
def test_what_can_be_dropped_is_refused_otherwise_with_what_to_do(known: Known) -> None:
    assert known.droppable <= known.advice.keys()


def test_new_parameters_reach_the_tuning() -> None:
    more = {"verbosity": "low", "logit_bias": {"7": -100, "8": 2.5}, "service_tier": "flex", "reasoning_effort": "max"}
    tuned = Tuning(verbosity="low", logit_bias={"7": -100, "8": 2.5}, flex_tier="flex", effort="max")
    assert read_chat({**CHAT, **more}, BOUNDS).request.tuning == tuned
    said = {"text": {"verbosity": "high"}, "service_tier": "flex"}
    assert read_response({**RESPONSE, **said}, BOUNDS).request.tuning == Tuning(verbosity="high", flex_tier="flex")
    tier = {"service_tier": "standard_only"}
    assert read_messages({**MESSAGE, **tier}, BOUNDS).request.tuning == Tuning(standard_tier="standard_only")


def test_what_an_answer_can_do_without_is_dropped_and_named_where_that_is_wished() -> None:
    more = {"store": True, "service_tier": "priority", "prediction": {"type": "content", "content": "x"}}
    wanted = read_chat({**CHAT, **more}, DROPPING)
    assert wanted.ignored == ("prediction", "service_tier", "store")
    assert wanted.request.tuning == Tuning(optional=True)
    by_body = read_chat({**CHAT, **more, "drop_params": True}, BOUNDS)
    assert by_body.ignored == wanted.ignored
    assert read_response({**RESPONSE, "store": True, "max_tool_calls": 3}, DROPPING).ignored == (
        "max_tool_calls",
        "store",
    )
    assert read_messages({**MESSAGE, "speed": "fast"}, DROPPING).ignored == ("speed",)


@pytest.mark.parametrize(
    "more", [{"n": 2}, {"modalities": ["audio"]}, {"moderation": {}}, {"functions": []}, {"colour": "red"}]
)
def test_what_makes_another_answer_is_never_dropped(more: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        read_chat({**CHAT, **more}, DROPPING)


class Looked(dict[str, Any]):
    """A body that keeps what was looked for in it."""

    def __init__(self, **members: Any) -> None:
        super().__init__(members)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)


def test_a_body_without_tuning_is_not_searched_for_it_and_none_is_passed_over() -> None:
    body = Looked(seed=7, parallel_tool_calls=None, tool_choice={"type": "auto"}, logprobs=True)
    assert read_tuning(body, tools=True) == Tuning(seed=7, logprobs=0)
    assert body.names == TUNING
    plain = Looked(model="m", messages=[])
    assert read_tuning(plain, tools=True) is UNTUNED
    assert not plain.names
