"""What a chat needs of whoever answers it."""

from __future__ import annotations

from signoff.capabilities.gateway.budget import estimated_input_tokens
from signoff.capabilities.gateway.chat import ChatRequest, DocumentPart, ImagePart, TextPart, ToolResultPart
from signoff.capabilities.gateway.chats.estimating import input_tokens, output_tokens
from signoff.capabilities.gateway.model import ModelTask
from signoff.capabilities.gateway.routing.model import Needs
from signoff.catalog.models import Requires

MOST_BYTES_PER_TOKEN = 6
"""Of text that tokenizers do well by: long English words. What is counted by it is hardly more than the truth."""


def needs_of_task(task: ModelTask) -> Needs:
    """What a task needs: room for its messages and the longest answer. Its form can be told in words."""
    size_bytes = sum(len(message.content) for message in task.messages)
    least = size_bytes // MOST_BYTES_PER_TOKEN + task.max_output_tokens
    return Needs(Requires(context_tokens=least), estimated_input_tokens(task.messages), task.max_output_tokens)


def needs_of(request: ChatRequest) -> Needs:
    """What is read, what must be done, and how long it is."""
    parts = [part for message in request.messages for part in message.parts]
    modalities = {"image" for part in parts if isinstance(part, ImagePart)}
    for part in parts:
        if isinstance(part, DocumentPart):
            modalities.add("audio" if part.media_type.startswith("audio/") else "document")
    capabilities = {"tools"} if request.tools else set[str]()
    size_bytes = 0
    for part in parts:
        if isinstance(part, TextPart | ToolResultPart):
            size_bytes += len(part.text if isinstance(part, TextPart) else part.content)
    least = size_bytes // MOST_BYTES_PER_TOKEN + (request.max_output_tokens or 0)
    return Needs(
        Requires(frozenset(modalities), frozenset(capabilities), least),
        input_tokens(request),
        output_tokens(request),
        request.tuning.wanted,
        request.tuning.optional,
    )
