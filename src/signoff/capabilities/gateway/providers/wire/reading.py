"""What a wire format is: how it asks, how it is read."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from signoff.capabilities.gateway.chat import ChatEvent, ChatReply, ChatRequest, DocumentPart, ImagePart
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.wire.building import ReplyBuilder
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError
from signoff.capabilities.gateway.providers.wire.framing import Event, Framing


class Reader(Protocol):
    """Reads one answer."""

    @property
    def built(self) -> ReplyBuilder:
        """What was read so far."""
        ...

    def feed(self, event: Event) -> list[ChatEvent]:
        """What one event of a stream shows.

        Raises:
            ProviderError: the event reports an error.
            NotItsFormatError: it is not the format's.
        """
        ...

    def whole(self, body: dict[str, Any]) -> None:
        """Read an answer that came at once.

        Raises:
            ProviderError: it reports an error.
            NotItsFormatError: it is not the format's.
        """
        ...


class Wire(Protocol):
    """A wire format."""

    @property
    def framing(self) -> Framing:
        """How its streams are cut."""
        ...

    @property
    def tunings(self) -> frozenset[str]:
        """What of `Tuning` it has a place for."""
        ...

    def body(self, request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
        """The request as its JSON. An `output_schema` is one that `shape` gave.

        Raises:
            ProviderError: `cannot`: the format has no place for a part of the request.
        """
        ...

    def shape(self, schema: Mapping[str, Any], model: str) -> dict[str, Any] | None:
        """The schema as its structured output takes it; none where that, or the model, cannot express it."""
        ...

    def reader(self) -> Reader:
        """A reader for one answer."""
        ...


@runtime_checkable
class SaysLikelihood(Protocol):
    """A wire format in which a model can say how likely it found its words."""

    @property
    def likelihood(self) -> Mapping[str, Any]:
        """What its request has besides for that; empty where this vendor's dialect has no such thing."""
        ...


def read_reply(wire: Wire, body: dict[str, Any]) -> ChatReply:
    """The reply of an answer that came at once.

    Raises:
        ProviderError: it reports an error, or is not in the format.
    """
    reader = wire.reader()
    reader.whole(body)
    if not reader.built.ended and not reader.built.request_id:
        raise NotItsFormatError("a reply")
    return reader.built.reply()


def data_url(part: ImagePart | DocumentPart) -> str:
    """The part as a URL: its own, or its bytes as `data:`."""
    if part.data is None:
        return part.url or ""
    return f"data:{part.media_type};base64,{encoded(part.data)}"


def encoded(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()


def cannot(what: str) -> ProviderError:
    """The failure of a request that a format has no place for."""
    return ProviderError("cannot", f"This vendor's format has no place for {what}.")
