"""An answer that broke off, continued by another model: how it is asked, and that nothing is said twice."""

from __future__ import annotations

from dataclasses import replace

from signoff.capabilities.gateway.chat import ChatMessage, ChatRequest, TextPart

LEAST_REPEATED = 12
"""Characters that count as said again; fewer are often meant, as in a list of numbers."""
LEAST_RESTART = 4
"""Characters of a short beginning that count as said again."""
CHARACTERS_PER_TOKEN = 4
"""Of English: how much of the answer's length was used up."""
LEAST_LEFT = 16
"""Tokens that a continuation may always have."""
GO_ON = (
    "Your answer above was cut off by a technical fault. Go on exactly where it ends, in the middle of a word where it"
    " ends so. Repeat nothing of it, and say nothing about the fault."
)


def continued(request: ChatRequest, said: str) -> ChatRequest:
    """The request that asks for the rest of an answer whose beginning was said."""
    asked = ChatMessage("assistant", (TextPart(said),)), ChatMessage("user", (TextPart(GO_ON),))
    left = request.max_output_tokens
    if left is not None:
        left = max(left - len(said) // CHARACTERS_PER_TOKEN, LEAST_LEFT)
    return replace(request, messages=(*request.messages, *asked), max_output_tokens=left)


class Joint:
    """Takes out of a continuation what it says again of the beginning: its end, or all of it.

    Args:
        said: the beginning; empty where nothing is continued, and then everything passes.
    """

    def __init__(self, said: str) -> None:
        self._said = said
        self._least = LEAST_REPEATED if len(said) >= LEAST_REPEATED else max(len(said), LEAST_RESTART)
        self._held = ""
        self._open = len(said) >= LEAST_RESTART

    def feed(self, text: str) -> str:
        """What is new of more text; it holds back what may be a repetition until that is known."""
        if not self._open:
            return text
        self._held += text
        repeated, undecided = self._matched()
        if undecided:
            return ""
        return self._passed(repeated)

    def flush(self) -> str:
        """What is new of what is held, when nothing more comes."""
        if not self._open:
            return ""
        repeated, undecided = self._matched()
        # What repeats a piece of the beginning to its own end says nothing new.
        whole = undecided and len(self._held) >= self._least
        return self._passed(len(self._held) if whole else repeated)

    def _passed(self, repeated: int) -> str:
        self._open = False
        new, self._held = self._held[repeated:], ""
        return new

    def _matched(self) -> tuple[int, bool]:
        """How many held characters repeat the end of the beginning, and whether more may turn out to."""
        head = self._held[: self._least]
        at = self._said.find(head)
        while 0 <= at <= len(self._said) - self._least:
            rest = self._said[at:]
            if len(rest) > len(self._held) and rest.startswith(self._held):
                return 0, True
            if self._held.startswith(rest):
                return len(rest), False
            at = self._said.find(head, at + 1)
        return 0, False
