"""What a vendor reports of one call: chats and tasks have it alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from signoff.core.values import value


@value
class ChatUsage:
    """Tokens as the vendor reports them, put on one footing: parts are counted in their whole, for every vendor.

    Attributes:
        input_tokens: all input, cached or not (Anthropic and Bedrock report the cached apart; here it is added).
        output_tokens: all output, reasoning included (Google reports it apart; here it is added).
        cached_input_tokens: of the input, read from the vendor's cache.
        cache_write_tokens: of the input, written to the vendor's cache.
        reasoning_tokens: of the output.
        image_input_tokens: of the input.
        image_output_tokens: of the output.
        reported: whether the vendor said anything at all; zeros that nobody reported are not free.
        vendor: the vendor's own report, unchanged.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    reported: bool = False
    vendor: Mapping[str, Any] = field(default_factory=dict[str, Any])
