"""What a permit lets an answer be: `@max_tokens("500")`, `@stop("###")`, `@tools("crm.find, mail.read")`.

A request's own limits hold beside it: what both allow is allowed. The gateway holds answers to it, whatever the vendor
does (`chats/bounding.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from signoff.capabilities.gateway.chat import ChatRequest, OnlyTool
from signoff.capabilities.gateway.model import ModelTask, ObligationLike
from signoff.capabilities.gateway.protection import NotProtectedError
from signoff.capabilities.gateway.screening.incoming import texts_of
from signoff.core.errors import Problem
from signoff.core.values import value
from signoff.governance.policy.bounds import BoundsError, max_tokens_of, stops_of, tools_of

MAX_TOKENS, STOP, TOOLS = "max_tokens", "stop", "tools"
"""The obligations' names."""
BOUNDING = frozenset((MAX_TOKENS, STOP, TOOLS))
SIGNAL = "bounds"
"""Where a record says what held."""


@value
class Bounds:
    """What all obligations of one permit together allow.

    Attributes:
        max_tokens: how long an answer may be, in tokens; none where they do not say.
        stop: texts at which it ends.
        tools: what may be offered; none where they do not say.
    """

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: frozenset[str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """What of it is said, for records."""
        found: dict[str, Any] = {}
        if self.max_tokens is not None:
            found[MAX_TOKENS] = self.max_tokens
        if self.stop:
            found[STOP] = list(self.stop)
        if self.tools is not None:
            found[TOOLS] = sorted(self.tools)
        return found


UNBOUNDED = Bounds()


def bounds_of(obligations: Sequence[ObligationLike]) -> Bounds:
    """What they allow: where two permits say it, what both allow.

    Raises:
        NotProtectedError: one cannot be understood.
    """
    bounds = UNBOUNDED
    try:
        for duty in obligations:
            if duty.kind == MAX_TOKENS:
                most = max_tokens_of(duty.value)
                bounds = replace(bounds, max_tokens=min(most, bounds.max_tokens or most))
            elif duty.kind == STOP:
                bounds = replace(bounds, stop=tuple(dict.fromkeys((*bounds.stop, *stops_of(duty.value)))))
            elif duty.kind == TOOLS:
                own = tools_of(duty.value)
                bounds = replace(bounds, tools=own if bounds.tools is None else own & bounds.tools)
    except BoundsError as error:
        raise NotProtectedError(str(error)) from None
    return bounds


def bounded_chat(request: ChatRequest, bounds: Bounds) -> ChatRequest:
    """The request within the bounds.

    Raises:
        NotProtectedError: it offers a tool that may not be offered, or wants more thoughts than the answer may have.
    """
    if bounds is UNBOUNDED:
        return request
    if bounds.tools is not None:
        named = {request.tool_choice.name} if isinstance(request.tool_choice, OnlyTool) else set[str]()
        if beyond := ({tool.name for tool in request.tools} | named) - bounds.tools:
            listed, allowed = ", ".join(sorted(beyond)[:10]), ", ".join(sorted(bounds.tools)) or "none"
            raise NotProtectedError(f"The permit allows these tools: {allowed}; the request offers others: {listed}.")
    most = bounds.max_tokens
    if most is not None:
        thoughts = request.tuning.thinking_tokens
        if thoughts is not None and thoughts >= most:
            detail = f"The permit allows answers of {most} tokens, and {thoughts} are asked for thoughts alone."
            raise NotProtectedError(detail)
        request = replace(request, max_output_tokens=min(most, request.max_output_tokens or most))
    return replace(request, held_stop=(*request.held_stop, *bounds.stop)) if bounds.stop else request


def bounded_task(task: ModelTask, bounds: Bounds) -> ModelTask:
    """The task within the bounds. It offers no tools; an answer by a schema may not have a stop text in a value."""
    if bounds is UNBOUNDED:
        return task
    if bounds.max_tokens is not None:
        task = replace(task, max_output_tokens=min(bounds.max_tokens, task.max_output_tokens))
    if not bounds.stop:
        return task
    if task.output_schema is None:
        return replace(task, stop=(*task.stop, *bounds.stop))
    return replace(task, checks=(*task.checks, _Without(bounds.stop)))


def note(bounds: Bounds, signals: MutableMapping[str, Any]) -> None:
    """Write down what holds for the model that is asked now, instead of what held for the one before."""
    if bounds is UNBOUNDED:
        signals.pop(SIGNAL, None)
    else:
        signals[SIGNAL] = bounds.as_dict()


def cut_at(text: str, stops: Sequence[str]) -> str | None:
    """The text before the first of these; none where none is in it."""
    places = [place for place in (text.find(stop) for stop in stops if stop) if place >= 0]
    return text[: min(places)] if places else None


@value
class _Without:
    """A check that no value of an answer has one of these texts in it."""

    stops: Sequence[str]

    def __call__(self, output: Mapping[str, Any]) -> Sequence[Problem]:
        found = sorted({stop for text in texts_of(output) for stop in self.stops if stop in text})
        return [
            Problem(f"A value has the text {orjson.dumps(stop).decode()} in it, where an answer ends.", code="stop")
            for stop in found
        ]
