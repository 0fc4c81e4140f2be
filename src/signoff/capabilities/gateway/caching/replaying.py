"""Kept answers in the forms in which they are asked for again: as a stream, as the answer of a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import orjson

from signoff.capabilities.gateway.bounds import cut_at
from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatMessage,
    ChatReply,
    ChatRequest,
    ReasoningDelta,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    UsageReport,
)
from signoff.capabilities.gateway.chats.bounding import most_characters
from signoff.capabilities.gateway.model import ModelTask


def replayed(reply: ChatReply) -> Iterator[ChatEvent]:
    """An answer as a stream: a piece for each part, what it used, and its end."""
    calls = 0
    for part in reply.parts:
        if isinstance(part, TextPart):
            yield TextDelta(part.text)
        elif isinstance(part, ReasoningPart):
            yield ReasoningDelta(part.text)
        elif isinstance(part, ToolCallPart):
            yield ToolCallDelta(calls, part.id, part.name, part.arguments)
            calls += 1
    yield UsageReport(reply.usage)
    yield StreamEnd(reply)


def question_of_task(task: ModelTask) -> ChatRequest:
    """A task as the chat that it is found by: everything that its answer depends on."""
    return ChatRequest(
        messages=tuple(ChatMessage(one.role, (TextPart(one.content),)) for one in task.messages),
        output_schema=task.output_schema,
        max_output_tokens=task.max_output_tokens,
        timeout_s=task.timeout_s,
        vendor={
            "prompt_version": task.prompt_version,
            "variables": task.variables,
            "labels": task.labels,
            "examples": [[one.input, one.output] for one in task.examples],
            "hints": {name: asdict(hint) for name, hint in task.hints.items()},
        },
    )


def kept_task(output: Mapping[str, Any], model: str) -> ChatReply:
    """A task's answer as it is kept."""
    return ChatReply((TextPart(orjson.dumps(output).decode()),), "stop", model=model)


def task_again(reply: ChatReply, task: ModelTask) -> dict[str, Any] | None:
    """The answer that was kept; none where it breaks what this one is held to, such as quotes of what was retrieved."""
    output: dict[str, Any] = orjson.loads(reply.text)
    if task.output_schema is None:
        most = most_characters(task.max_output_tokens)
        if cut_at(output["text"], task.stop) is not None or (most is not None and len(output["text"]) > most):
            return None
    return None if any(problems for check in task.checks if (problems := check(output))) else output
