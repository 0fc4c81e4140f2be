"""A run's money. What a call may cost is set aside before and settled after it: parallel steps cannot overspend."""

from __future__ import annotations

import math
from collections.abc import Sequence

from signoff.catalog.prompts import PromptMessage
from signoff.core.money import Cost

BYTES_PER_TOKEN = 3
"""For estimates before a call: English has about four bytes of UTF-8 per token, code and other scripts two to three."""
TOKENS_PER_MESSAGE = 8
"""What vendors add around each message, for estimates."""


class Budget:
    """How much a run may still spend. Share one object between the steps of a run that are under way together.

    Args:
        limit: what the run may cost in all.
        spent: what it has cost before.
    """

    def __init__(self, limit: Cost, spent: Cost | None = None) -> None:
        self._left = limit.micro_usd - (spent or Cost()).micro_usd

    @property
    def left(self) -> Cost:
        """What is neither spent nor set aside; never below zero."""
        return Cost(max(0, self._left))

    def reserve(self, cost: Cost) -> bool:
        """Set an amount aside; false, and nothing done, where it is not there."""
        if cost.micro_usd > self._left:
            return False
        self._left -= cost.micro_usd
        return True

    def settle(self, reserved: Cost, actual: Cost) -> None:
        """Replace what was set aside by what it came to. It may exceed the estimate, and then leaves less than zero."""
        self._left += reserved.micro_usd - actual.micro_usd


def estimated_input_tokens(messages: Sequence[PromptMessage]) -> int:
    """An upper estimate of the tokens of messages, without a tokenizer."""
    size_bytes = sum(len(message.content.encode()) for message in messages)
    return math.ceil(size_bytes / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * len(messages)
