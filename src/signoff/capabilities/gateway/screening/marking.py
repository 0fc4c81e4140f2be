"""What a permit's `@mark("untrusted")` demands: results of tools and attached texts stand in the request as data.

Prompts of the registry mark their variables always ("spotlighting", Hines et al., arXiv:2403.14720); what a program
sends is changed only where policy says so, as some programs have marks of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from signoff.capabilities.gateway.chat import ChatMessage, ChatRequest, DocumentPart, Part, TextPart, ToolResultPart
from signoff.capabilities.gateway.model import ObligationLike

MARK = "mark"
"""The obligation's name."""
_UNNAMED = re.compile(r"[^A-Za-z0-9_.-]+")


def marked(request: ChatRequest, obligations: Sequence[ObligationLike]) -> ChatRequest:
    """The request with its untrusted parts as delimited data, and with a word about it, where that is demanded."""
    if all(duty.kind != MARK for duty in obligations):
        return request
    from signoff.catalog.templates import DATA_NOTICE, as_data  # noqa: PLC0415  (Jinja2 only where it is needed)

    def part(item: Part) -> Part:
        if isinstance(item, ToolResultPart):
            return replace(item, content=as_data(item.content, _named(item.name)))
        if isinstance(item, DocumentPart) and item.data is not None and item.media_type.startswith("text/"):
            return TextPart(as_data(item.data.decode("utf-8", "replace"), _named(item.name)))
        return item

    messages = tuple(ChatMessage(one.role, tuple(part(item) for item in one.parts)) for one in request.messages)
    if messages == tuple(request.messages):
        return request
    return replace(request, messages=(ChatMessage("system", (TextPart(DATA_NOTICE),)), *messages))


def _named(name: str) -> str:
    """A name that cannot end the tag it stands in."""
    return _UNNAMED.sub("_", name)[:60] or "tool"
