"""A conversation as formats take it that know two sides only and want them by turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from signoff.capabilities.gateway.chat import ChatMessage, Part, ReasoningPart


def in_turns(
    messages: Sequence[ChatMessage],
    block: Callable[[Part], dict[str, Any]],
    *,
    assistant: str = "assistant",
    content: str = "content",
) -> list[dict[str, Any]]:
    """The messages without the system's, neighbours of one side joined.

    Results of several tools must stand in one message, or a model learns to call one at a time. Reasoning goes back
    only as its vendor signed it.

    Args:
        messages: of the request, in order.
        block: what the format makes of a part.
        assistant: what it calls the model's side; the other one is `user`.
        content: where it puts the parts.
    """
    sent: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = assistant if message.role == "assistant" else "user"
        blocks = [block(part) for part in message.parts if not isinstance(part, ReasoningPart) or part.vendor]
        if sent and sent[-1]["role"] == role:
            sent[-1][content].extend(blocks)
        elif blocks:
            sent.append({"role": role, content: blocks})
    return sent
