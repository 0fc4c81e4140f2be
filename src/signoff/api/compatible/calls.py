"""What the served endpoints do: read the request, ask the gateway, write the answer, each in the vendor's format."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol

from fastapi import Request, Response

from signoff.api.compatible.chat_answer import ChatFrames, Head, chat_body
from signoff.api.compatible.chat_request import Bounds, Wanted, read_chat
from signoff.api.compatible.exchange import (
    MAX_IGNORED_SHOWN,
    StreamAnswer,
    answered,
    body_of,
    json_answer,
    named,
)
from signoff.api.compatible.faults import Fault, Shape, broken, fault_of_stream
from signoff.api.compatible.headers import drops, headers_of
from signoff.api.compatible.members import RequestError, read_body
from signoff.api.compatible.messages_answer import InterleavedError, MessageFrames, message_body
from signoff.api.compatible.messages_request import read_messages
from signoff.api.compatible.placing import Place, Places
from signoff.api.compatible.responses_answer import ResponseFrames, response_body
from signoff.api.compatible.responses_request import read_response
from signoff.api.services import actor_of, services_of
from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.asking import CallRecord, Considered
from signoff.capabilities.gateway.chat import ChatEvent, ChatReply, StreamEnd
from signoff.capabilities.gateway.chats.streaming import ChatStream
from signoff.capabilities.gateway.routing.router import LEFT_OUT
from signoff.core.errors import UnavailableError
from signoff.core.values import altered, value
from signoff.foundation.settings import ApiSettings


class Frames(Protocol):
    """How a format tells of an answer as it comes."""

    def start(self) -> bytes: ...

    def event(self, event: ChatEvent) -> bytes: ...

    def end(self, reply: ChatReply) -> bytes: ...

    def failed(self, fault: Fault, request_id: str) -> bytes: ...


@value
class Format:
    """One vendor's format of chats.

    Attributes:
        shape: of its errors.
        read: its request.
        whole: its answer that comes at once.
        frames: its answer as a stream.
    """

    shape: Shape
    read: Callable[[dict[str, Any], Bounds], Wanted]
    whole: Callable[[Head, Wanted, ChatReply], dict[str, Any]]
    frames: Callable[[Head, Wanted], Frames]


CHAT = Format(
    "openai",
    read_chat,
    lambda head, _, reply: chat_body(head, reply),
    lambda head, wanted: ChatFrames(head, usage=wanted.usage_in_stream),
)
RESPONSES = Format(
    "openai",
    read_response,
    lambda head, wanted, reply: response_body(head, wanted.body, reply),
    lambda head, wanted: ResponseFrames(head, wanted.body),
)
MESSAGES = Format(
    "anthropic",
    read_messages,
    lambda head, _, reply: message_body(head, reply),
    lambda head, _: MessageFrames(head),
)


class IncompleteError(Exception):
    """An answer that came whole never said that it ended."""


class Served:
    """The gateway as it is served.

    Args:
        places: finds whose call it is.
        gateway: answers it; none where this server has none.
        settings: bounds.
    """

    def __init__(self, places: Places, gateway: Gateway | None, settings: ApiSettings) -> None:
        self.places = places
        self._gateway = gateway
        self.bounds = Bounds(settings.max_chat_messages, settings.max_chat_tools)
        self.settings = settings

    @property
    def gateway(self) -> Gateway:
        """Who answers.

        Raises:
            UnavailableError: nobody does here.
        """
        if self._gateway is None:
            raise UnavailableError("This server was started without a gateway to models.")
        return self._gateway

    def timeout_s(self, headers: Mapping[str, str]) -> float:
        """The time that a caller gives its call, in seconds.

        Raises:
            RequestError: the header is no time, or too long.
        """
        said, most_s = headers.get("signoff-timeout"), self.settings.max_chat_s
        if said is None:
            return most_s
        try:
            timeout_s = float(said)
        except ValueError:
            timeout_s = 0.0
        if not 0 < timeout_s <= most_s:
            detail = f"The header 'signoff-timeout' has to be seconds, more than 0 and at most {most_s:g}."
            raise RequestError(detail, param="signoff-timeout")
        return timeout_s


def served_of(request: Request) -> Served:
    """The application's served gateway."""
    served = request.app.state.served
    assert isinstance(served, Served)
    return served


async def place_of(request: Request) -> Place:
    """Whose call it is, by the base URL and the key.

    Raises:
        NotFoundError: nothing is deployed there.
    """
    path = request.path_params
    return await served_of(request).places.find(actor_of(request), path.get("project"), path.get("environment"))


async def converse(request: Request, form: Format) -> Response:
    """A chat in one vendor's format."""

    async def handle(request: Request) -> Response:
        served, place = served_of(request), await place_of(request)
        headers = headers_of(request.scope)
        bounds = served.bounds.dropping(drops(headers, place.config.served))
        wanted = form.read(read_body(body_of(request)), bounds)
        asked = place.asked(headers, model=wanted.model, task="chat")
        chat = altered(wanted.request, timeout_s=served.timeout_s(headers))
        gateway, decide = served.gateway, place.decide(asked)
        if wanted.stream:
            stream = await gateway.stream(chat, asked, place.config, decide=decide)
            return _streamed(request, form, wanted, stream)
        result = await gateway.chat(chat, asked, place.config, decide=decide)
        if result.reply.finish_reason == "incomplete":
            raise IncompleteError
        head = _head(result.record, result.reply)
        ignored = (*wanted.ignored, *_left_out(result.record.considered, head.model))
        told = _headers(request, form, head, ignored)
        told["signoff-cost-usd"] = f"{result.record.usage.cost.micro_usd / 1_000_000:.6f}"
        if result.record.cached:
            told["signoff-cached"] = "true"
        return json_answer(form.whole(head, wanted, result.reply), told)

    return await answered(request, form.shape, handle)


def _head(record: CallRecord, reply: ChatReply) -> Head:
    return Head(str(record.id), int(record.at.timestamp()), record.model or reply.model)


def _headers(request: Request, form: Format, head: Head, ignored: tuple[str, ...]) -> dict[str, str]:
    found = {"signoff-call-id": head.id, "signoff-model": head.model, **named(form.shape, request.state.request_id)}
    if ignored:
        found["signoff-ignored"] = ", ".join(ignored[:MAX_IGNORED_SHOWN])
    return found


def _left_out(considered: Sequence[Considered], model: str) -> list[str]:
    """What the model that answers was asked without, by the names that requests have for it."""
    said = next((str(one.why.get(LEFT_OUT, "")) for one in considered if one.model == model and one.rank), "")
    return [name for name in said.split(", ") if name]


def _streamed(request: Request, form: Format, wanted: Wanted, stream: ChatStream) -> Response:
    head = Head(str(stream.id), int(services_of(request).now().timestamp()), stream.model)
    request_id: str = request.state.request_id
    ignored = (*wanted.ignored, *_left_out(stream.considered, stream.model))
    frames = form.frames(head, wanted)
    return StreamAnswer(
        _frames(frames, stream, request_id),
        lambda fault: frames.failed(fault, request_id),
        stream.aclose,
        {**_headers(request, form, head, ignored), "x-accel-buffering": "no"},
    )


async def _frames(frames: Frames, stream: ChatStream, request_id: str) -> AsyncGenerator[bytes]:
    """The answer as it comes. It ends with the format's end, or with an error: with nothing else."""
    begun = frames.start()
    async for event in stream:
        if isinstance(event, StreamEnd):
            if event.failure is not None or event.reply.finish_reason == "incomplete":
                yield begun + frames.failed(fault_of_stream(event.failure), request_id)
                return
            yield begun + frames.end(event.reply)
            return
        try:
            frame = frames.event(event)
        except InterleavedError as error:
            yield begun + frames.failed(error.fault, request_id)
            return
        if frame:
            yield begun + frame
            begun = b""
    yield begun + frames.failed(broken(), request_id)
