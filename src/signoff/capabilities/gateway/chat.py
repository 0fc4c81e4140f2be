"""Chat with any vendor's model in one vocabulary: requests, replies, streams.

It stands below the task-level `Provider.complete`: whoever can chat can do tasks. Nothing here belongs to one vendor;
what only one vendor has is kept raw in `vendor` members, so that it can be sent back to the same vendor unchanged.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, Protocol, runtime_checkable

from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.reported import ChatUsage
from signoff.capabilities.gateway.tuning import UNTUNED, Tuning
from signoff.core.values import value

Role = Literal["system", "user", "assistant", "tool"]
ChatFinish = Literal["stop", "length", "tool_calls", "refusal", "content_filter", "incomplete", "other"]
"""Why a reply ends.

`stop`: the model was done. `length`: cut off at a token limit. `tool_calls`: it waits for results of tools.
`refusal`: the model itself declined. `content_filter`: a filter of the vendor's withheld the answer.
`incomplete`: no end ever came: a stream that broke, or a background job that is not done. `other`: the vendor's own
reason, verbatim in `ChatReply.vendor_finish`.
"""


@value
class TextPart:
    """Words."""

    text: str


@value
class ImagePart:
    """A picture: its bytes, or where it is.

    Attributes:
        media_type: such as `image/png`.
        data: the bytes; none where `url` says where they are.
        url: an https or vendor's own (`gs://`, file id) address; none where `data` is given.
    """

    media_type: str
    data: bytes | None = None
    url: str | None = None


@value
class DocumentPart:
    """A file, such as a PDF: its bytes, or where it is.

    Attributes:
        media_type: such as `application/pdf`.
        data, url: as in `ImagePart`.
        name: its file name.
    """

    media_type: str
    data: bytes | None = None
    url: str | None = None
    name: str = "document"


@value
class ReasoningPart:
    """What a model thought before it answered, as far as the vendor shows it.

    Attributes:
        text: the thoughts or their summary; empty where the vendor keeps them to itself.
        vendor: the vendor's own block (signature, encrypted content), to be sent back to it unchanged.
    """

    text: str
    vendor: Mapping[str, Any] = field(default_factory=dict[str, Any])


@value
class ToolCallPart:
    """The model asks for a tool of ours.

    Attributes:
        id: what the result must name; made up (`call_1`) where the vendor gives none.
        name: the tool.
        arguments: JSON text, as the model wrote it: it may be broken.
        vendor: more of the vendor's own block, such as a signature, to be sent back unchanged.
    """

    id: str
    name: str
    arguments: str
    vendor: Mapping[str, Any] = field(default_factory=dict[str, Any])


@value
class ToolResultPart:
    """What a tool gave.

    Attributes:
        id: of the call.
        name: the tool.
        content: text, JSON where the tool gave more.
        is_error: whether the tool failed.
    """

    id: str
    name: str
    content: str
    is_error: bool = False


@value
class VendorPart:
    """A block of the vendor's own: a search it ran, code it executed. Meaningful to that vendor only.

    Attributes:
        kind: the vendor's name of it.
        data: the block.
    """

    kind: str
    data: Mapping[str, Any]


Part = TextPart | ImagePart | DocumentPart | ReasoningPart | ToolCallPart | ToolResultPart | VendorPart


@value
class ChatMessage:
    """One turn. Tool results stand in messages of the role `tool`."""

    role: Role
    parts: Sequence[Part]


@value
class ChatTool:
    """A tool that the model may ask for.

    Attributes:
        name: as the model calls it.
        description: what it does, for the model.
        parameters: JSON Schema of its arguments.
        strict: whether the vendor shall hold the arguments to the schema, where it can; none leaves that to the vendor.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None


@value
class OnlyTool:
    """The tool that must be called."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | OnlyTool


@value
class ChatRequest:
    """One call to a chat model. Whether it streams is for the caller: `Chats.chat` or `Chats.stream`.

    Attributes:
        messages: the conversation, in order.
        tools: what the model may ask for.
        tool_choice: whether it must.
        output_schema: JSON Schema of the answer; none means free text.
        output_name: what the schema is called, for the vendor.
        stop: texts at which the model stops, not part of the answer.
        held_stop: more of them, which no vendor is told, as some models refuse them: the gateway ends the answer there.
        max_output_tokens: how long the answer may be, in tokens; none leaves it to the vendor.
        temperature: none leaves it to the model's settings.
        tuning: what not every vendor has; a model that lacks some of it is not asked.
        timeout_s: how long the call may take, in seconds; the gateway cuts it off.
        vendor: more members of the vendor's request body, merged over ours.
    """

    messages: Sequence[ChatMessage]
    tools: Sequence[ChatTool] = ()
    tool_choice: ToolChoice = "auto"
    output_schema: Mapping[str, Any] | None = None
    output_name: str = "answer"
    stop: Sequence[str] = ()
    held_stop: Sequence[str] = ()
    max_output_tokens: int | None = None
    temperature: float | None = None
    tuning: Tuning = UNTUNED
    timeout_s: float = 60.0
    vendor: Mapping[str, Any] = field(default_factory=dict[str, Any])


@value
class ChatReply:
    """What came back, unjudged.

    Attributes:
        parts: in the vendor's order.
        finish_reason: why it ends.
        usage: what it used.
        model: which model answered, by the vendor's own word.
        request_id: what the vendor calls this answer, for its support.
        vendor_finish: the vendor's own word for why it ends; empty where it gave none.
        refusal: the model's words where it declined in a channel of their own.
        likelihood: how likely the model found its words, from 0 to 1; none where it was not asked or does not say.
        logprobs: of each token of its words, where they were asked for, as OpenAI tells them: `token`, `logprob`,
            `bytes` and `top_logprobs`.
    """

    parts: tuple[Part, ...]
    finish_reason: ChatFinish
    usage: ChatUsage = field(default_factory=ChatUsage)
    model: str = ""
    request_id: str = ""
    vendor_finish: str = ""
    refusal: str = ""
    likelihood: float | None = None
    logprobs: tuple[Mapping[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """The words of the answer, without thoughts."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        """The tools it asks for."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))


@value
class TextDelta:
    """More words."""

    text: str


@value
class ReasoningDelta:
    """More thoughts."""

    text: str


@value
class ToolCallDelta:
    """More of a tool call.

    Attributes:
        index: which call of the reply, from 0.
        id, name: in the first delta of a call; empty later.
        arguments: more JSON text, maybe none.
    """

    index: int
    id: str
    name: str
    arguments: str


@value
class UsageReport:
    """Usage so far; a later report stands for all earlier ones."""

    usage: ChatUsage


@value
class StreamEnd:
    """The last event of every stream, broken ones too.

    Attributes:
        reply: the whole reply; its reason is `incomplete` where the vendor never ended it.
        failure: why it broke, where it did.
    """

    reply: ChatReply
    failure: ProviderError | None = None


ChatEvent = TextDelta | ReasoningDelta | ToolCallDelta | UsageReport | StreamEnd


@runtime_checkable
class Chats(Protocol):
    """A provider whose model can be talked to: what a `Provider` may also be."""

    async def chat(self, request: ChatRequest) -> ChatReply:
        """One call. It must not retry by itself and must bear cancellation.

        Raises:
            ProviderError: there is no answer.
        """
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """One call, its answer as it comes. The last event is a `StreamEnd`, however the stream ends.

        Close the generator (`contextlib.aclosing`) to leave early: that ends the call at the vendor.

        Raises:
            ProviderError: the call failed before its first event.
        """
        ...
