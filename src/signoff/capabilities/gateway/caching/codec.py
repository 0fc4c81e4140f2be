"""Questions as digests, answers as bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.asking import Asked
from signoff.capabilities.gateway.chat import (
    ChatReply,
    ChatRequest,
    ChatUsage,
    DocumentPart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    VendorPart,
)
from signoff.core.ids import digest

_PARTS: dict[str, type[Part]] = {
    part.__name__: part
    for part in (TextPart, ImagePart, DocumentPart, ReasoningPart, ToolCallPart, ToolResultPart, VendorPart)
}
_BYTES = "__base64__"


def question_of(asked: Asked, models: Sequence[str], request: ChatRequest) -> str:
    """The digest of a question and of everything that it is asked under.

    Who asks is part of it, and so is every text that was retrieved for it, as part of the request: an answer is found
    by those only who could have asked for it themselves. The models are those that policy permits now: an answer that
    was given under wider policies is not found any more.
    """
    caller = asked.caller
    under = {
        "project": caller.project,
        "environment": caller.environment,
        "release": caller.release,
        "principal": caller.principal,
        "team": caller.team,
        "key": caller.key,
        "labels": asked.data_labels.as_dict(),
        "model": asked.model,
        "task": asked.task,
        "prompt": asked.prompt,
        "risk": asked.risk,
        "region": asked.region,
        "models": sorted(models),
    }
    facts = {
        one.name: getattr(request, one.name)
        for one in fields(ChatRequest)
        if one.name not in ("messages", "timeout_s", "tool_choice")
    }
    facts["tool_choice"] = [type(request.tool_choice).__name__, request.tool_choice]
    facts["messages"] = [[message.role, [_part(part) for part in message.parts]] for message in request.messages]
    return digest(orjson.dumps([under, facts], default=_plain, option=orjson.OPT_SORT_KEYS))


def packed(reply: ChatReply) -> bytes:
    """The answer as bytes."""
    facts = {**asdict(reply), "parts": [_part(part) for part in reply.parts]}
    return orjson.dumps(facts, default=_plain)


def unpacked(data: bytes) -> ChatReply:
    """The answer that `packed` wrote."""
    facts: dict[str, Any] = orjson.loads(data)
    parts = tuple(_PARTS[name](**_members(members)) for name, members in facts.pop("parts"))
    usage = ChatUsage(**facts.pop("usage"))
    logprobs = tuple(facts.pop("logprobs", ()))  # answers that were kept before there were any have none
    return ChatReply(parts=parts, usage=usage, logprobs=logprobs, **facts)


def _part(part: Part) -> list[Any]:
    return [type(part).__name__, asdict(part)]


def _members(members: dict[str, Any]) -> Any:
    for name, value in members.items():
        if isinstance(value, dict) and _BYTES in value:
            members[name] = base64.b64decode(cast("dict[str, str]", value)[_BYTES])
    return members


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    return dict(value)
