"""What the vendors' providers share: calls in a wire format over HTTP, whole or streamed, and tasks by means of them.

No retries (ours are the gateway's), no credentials from the environment (they come from `models.yaml`), no redirects
(a key goes to the named host only).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import field, replace
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import orjson

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatMessage,
    ChatReply,
    ChatRequest,
    StreamEnd,
    TextPart,
)
from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.model import FinishReason
from signoff.capabilities.gateway.provider import ProviderError, ProviderReply, ProviderRequest
from signoff.capabilities.gateway.providers.client import Answer, VendorClient
from signoff.capabilities.gateway.providers.prompting import instructed, shown_schema
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError, not_its_format, of_status
from signoff.capabilities.gateway.providers.wire.framing import decoder, read_object
from signoff.capabilities.gateway.providers.wire.reading import SaysLikelihood, Wire, read_reply
from signoff.catalog.models import ModelSpec
from signoff.core.values import value

CONNECT_TIMEOUT_S = 10.0
"""How long a connection may take to open, in seconds; `connect_s` of a model's `timeouts` says otherwise."""
MAX_REPLY_BYTES = 64 * 1024 * 1024
"""Longer answers are broken off, in bytes; the setting `max_reply_bytes` of a model says otherwise."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")
_FINISH: dict[str, FinishReason] = {"length": "length", "refusal": "refusal", "content_filter": "content_filter"}


@value
class Endpoint:
    """Where a model is called, and as whom.

    Attributes:
        url: of calls answered at once.
        stream_url: of streamed ones.
        headers: the key among them.
        auth: what signs each request, where a header does not do.
    """

    url: str
    stream_url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)


class Vendor:
    """A model behind a vendor's API.

    Args:
        spec: its settings. `structured` says how an answer's form is asked for: `schema` (the API's own structured
            output, where it can express the schema) or `prompt` (in words). `temperature` is 0 where not given; null
            leaves it to the vendor, as some reasoning models demand. `headers` are sent with every call.
            `max_reply_bytes` bounds answers.
        wire: the format.
        endpoint: where it is spoken.
    """

    tasks = frozenset({"classify", "extract", "generate"})
    local = False
    repairable = True

    def __init__(self, spec: ModelSpec, wire: Wire, endpoint: Endpoint) -> None:
        self.name = spec.provider
        self.model_name = required(spec, "model")
        self._wire = wire
        self.tunings = wire.tunings
        self._endpoint = endpoint
        wished = spec.settings.get("structured", "schema")
        if wished not in ("schema", "prompt"):
            raise ProviderError("setup", f"`structured` of {spec.name} is `schema` or `prompt`, not '{wished}'.")
        self._native = wished == "schema"
        temperature = spec.settings.get("temperature", 0.0)
        self._temperature = None if temperature is None else float(temperature)
        self._max_bytes = int(spec.settings.get("max_reply_bytes", MAX_REPLY_BYTES))
        more = cast("Mapping[str, Any]", spec.settings.get("headers") or {})
        headers = {**endpoint.headers, **{str(name): str(value) for name, value in more.items()}}
        loopback = urlsplit(endpoint.url).hostname in _LOOPBACK
        self._client = VendorClient(
            endpoint.url,
            {"content-type": "application/json", **headers},
            auth=endpoint.auth,
            connect_s=_connect_s(spec),
            loopback=loopback,
            traces=bool(spec.settings.get("trace")),
        )

    @property
    def wire(self) -> Wire:
        """The format that it speaks."""
        return self._wire

    async def chat(self, request: ChatRequest) -> ChatReply:
        """See `Chats`."""
        return await self._call(self._prepared(request))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """See `Chats`."""
        body = self._wire.body(self._prepared(request), self.model_name, stream=True)
        reader, decoding = self._wire.reader(), decoder(self._wire.framing)
        failure: ProviderError | None = None
        started, size_bytes = False, 0
        headers: Mapping[str, str] = {}
        try:
            async with aclosing(await self._client.post(self._endpoint.stream_url, _dumped(body))) as answer:
                headers = answer.headers
                await self._refused(answer)
                if headers.get("content-type", "").startswith("application/json"):
                    # Not a stream after all: an error of status 200, or a server that does not stream.
                    reader.whole(read_object(await self._whole(answer)))
                else:
                    while (chunk := await answer.more()) is not None:
                        size_bytes += len(chunk)
                        if size_bytes > self._max_bytes:
                            raise _too_long(self._max_bytes)
                        for event in decoding.feed(chunk):
                            for shown in reader.feed(event):
                                started = True
                                yield shown
        except NotItsFormatError:
            failure = not_its_format()
        except ProviderError as error:
            failure = error
        except httpx.HTTPError as error:
            failure = _of_transport(error)
        reply = _identified(reader.built.reply(), headers)
        if reader.built.ended:
            # Whatever broke after the vendor's end took nothing of the answer.
            yield StreamEnd(reply)
            return
        failure = failure or ProviderError("unavailable", "The vendor's stream ended without its end.")
        if not started:
            # Not chained: the original holds the request, its headers and the vendor's words about them.
            raise failure from None
        yield StreamEnd(reply, failure)

    async def complete(self, request: ProviderRequest) -> ProviderReply:
        """A task, as one chat.

        Raises:
            ProviderError: no answer, or none that can be read.
        """
        schema = None if request.output_schema is None or not self._native else self._shape(request.output_schema)
        asked = ChatRequest(
            messages=tuple(
                ChatMessage(message.role, (TextPart(message.content),))
                for message in instructed(request, show_schema=schema is None)
            ),
            output_schema=schema,
            max_output_tokens=request.max_output_tokens,
            temperature=self._temperature,
            timeout_s=request.timeout_s,
            vendor=self._wire.likelihood if request.likelihood and isinstance(self._wire, SaysLikelihood) else {},
        )
        try:
            reply = await self._call(asked)
        except ProviderError as error:
            if error.kind == "content_filter":
                return ProviderReply("", finish_reason="content_filter")
            raise
        if reply.finish_reason == "incomplete":
            raise not_its_format()
        usage, finish = reply.usage, _FINISH.get(reply.finish_reason, "stop")
        told = usage if usage.reported else None
        return ProviderReply(reply.text, usage.input_tokens, usage.output_tokens, finish, reply.likelihood, told)

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:  # noqa: ARG002  (the protocol's signature)
        """Not offered by this vendor's provider.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("cannot", f"{self.name} does not embed.")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(self, url: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, str]]:
        """One call answered at once: its JSON and headers.

        Raises:
            ProviderError: no answer, an error, or no JSON object.
        """
        try:
            async with aclosing(await self._client.post(url, _dumped(body))) as answer:
                await self._refused(answer)
                return read_object(await self._whole(answer)), answer.headers
        except NotItsFormatError:
            raise not_its_format() from None
        except httpx.HTTPError as error:
            raise _of_transport(error) from None

    def _shape(self, schema: Mapping[str, Any]) -> dict[str, Any] | None:
        return self._wire.shape(schema, self.model_name)

    def _prepared(self, request: ChatRequest) -> ChatRequest:
        """The request as the vendor can take it: a schema beyond its structured output is told in words."""
        changed = request
        # Whoever tunes the draw leaves no room for our own temperature: vendors refuse one beside thoughts or `top_p`.
        own = not (request.tuning.thinks or request.tuning.top_p is not None or "temperature" in request.vendor)
        if request.temperature is None and self._temperature is not None and own:
            changed = replace(changed, temperature=self._temperature)
        if request.output_schema is None:
            return changed
        shape = self._shape(request.output_schema) if self._native else None
        if shape is not None:
            return replace(changed, output_schema=shape)
        told = orjson.dumps(shown_schema(request.output_schema), default=dict).decode()
        rule = f"Answer with one JSON object and nothing else. Its JSON Schema is:\n{told}"
        messages = (ChatMessage("system", (TextPart(rule),)), *request.messages)
        return replace(changed, output_schema=None, messages=messages)

    async def _call(self, request: ChatRequest) -> ChatReply:
        """A chat whose request is ready: for tasks, which say the form of the answer in their own words."""
        answer, headers = await self.post(self._endpoint.url, self._wire.body(request, self.model_name, stream=False))
        try:
            return _identified(read_reply(self._wire, answer), headers)
        except NotItsFormatError:
            raise not_its_format() from None

    async def _refused(self, answer: Answer) -> None:
        """Raise what an error status means."""
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return
        data = await self._whole(answer)
        try:
            body: Any = orjson.loads(data)
        except orjson.JSONDecodeError:
            body = None
        raise of_status(answer.status, body, answer.headers)

    async def _whole(self, answer: Answer) -> bytes:
        chunks: list[bytes] = []
        size_bytes = 0
        while (chunk := await answer.more()) is not None:
            size_bytes += len(chunk)
            if size_bytes > self._max_bytes:
                raise _too_long(self._max_bytes)
            chunks.append(chunk)
        return b"".join(chunks)


def base_url(spec: ModelSpec, default: str) -> str:
    """The endpoint of a model, without a slash at its end.

    Raises:
        ProviderError: it is no URL.
    """
    url = str(spec.settings.get("base_url") or default)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProviderError("setup", f"`base_url` of {spec.name} is not an http or https URL.")
    return url.rstrip("/")


def one_of(spec: ModelSpec, key: str, allowed: Sequence[str]) -> str:
    """A setting that is one of a few words; the first where it is not given.

    Raises:
        ProviderError: it is another.
    """
    value = spec.settings.get(key, allowed[0])
    if value not in allowed:
        raise ProviderError("setup", f"`{key}` of {spec.name} is {' or '.join(f'`{word}`' for word in allowed)}.")
    return str(value)


def _connect_s(spec: ModelSpec) -> float:
    own = cast("Mapping[str, Any]", spec.settings.get("timeouts") or {})
    return float(own.get("connect_s", CONNECT_TIMEOUT_S))


def _dumped(body: Mapping[str, Any]) -> bytes:
    return orjson.dumps(body, default=dict)


def _identified(reply: ChatReply, headers: Mapping[str, str]) -> ChatReply:
    if reply.request_id:
        return reply
    return replace(reply, request_id=next((headers[name] for name in _REQUEST_IDS if headers.get(name)), ""))


def _of_transport(error: httpx.HTTPError) -> ProviderError:
    if isinstance(error, httpx.TimeoutException):
        return ProviderError("timeout", "The vendor did not answer in time.")
    return ProviderError("unavailable", "The vendor cannot be reached, or broke off.")


def _too_long(limit_bytes: int) -> ProviderError:
    return ProviderError("rejected", f"The vendor's answer is longer than {limit_bytes} bytes (`max_reply_bytes`).")
