"""A reply put together from pieces, whole or streamed: what all formats share."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatFinish,
    ChatReply,
    ChatUsage,
    Part,
    ReasoningDelta,
    ReasoningPart,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    UsageReport,
)

MOST_TOKENS = 1_000_000_000
"""That a vendor is believed to have counted for one call."""
_LEAST_LOGPROB = -1e6


@dataclass(slots=True)
class _Piece:
    kind: Literal["text", "reasoning", "call", "done"]
    key: Hashable
    chunks: list[str] = field(default_factory=list[str])
    vendor: dict[str, Any] = field(default_factory=dict[str, Any])
    id: str = ""
    name: str = ""
    index: int = 0
    part: Part | None = None


class ReplyBuilder:
    """Collects a reply. Every method that adds also gives the events that a stream shows for it.

    Pieces are found again by `key`; without one, what follows a piece of its own kind belongs to it.
    """

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._calls = 0
        self._finish: ChatFinish | None = None
        self._vendor_finish = ""
        self.usage = ChatUsage()
        self.model = ""
        self.request_id = ""
        self.refusal = ""
        self._logprobs: list[float] = []
        self._tokens: list[Mapping[str, Any]] = []

    @property
    def ended(self) -> bool:
        """Whether the vendor said why it stopped."""
        return self._finish is not None

    def text(self, text: str | None, key: Hashable = None) -> list[ChatEvent]:
        """More words."""
        if not text:
            return []
        self._piece("text", key).chunks.append(text)
        return [TextDelta(text)]

    def reasoning(
        self, text: str | None, key: Hashable = None, vendor: Mapping[str, Any] | None = None
    ) -> list[ChatEvent]:
        """More thoughts, or their signature."""
        if not text and not vendor:
            return []
        piece = self._piece("reasoning", key)
        piece.chunks.append(text or "")
        piece.vendor.update(vendor or {})
        return [ReasoningDelta(text)] if text else []

    def call(
        self,
        key: Hashable,
        *,
        id: str | None = None,  # noqa: A002  (the field's name)
        name: str | None = None,
        arguments: str | None = None,
        vendor: Mapping[str, Any] | None = None,
    ) -> list[ChatEvent]:
        """More of a tool call."""
        piece = next((piece for piece in self._pieces if piece.kind == "call" and piece.key == key), None)
        new = piece is None
        if piece is None:
            piece = _Piece("call", key, index=self._calls)
            self._calls += 1
            self._pieces.append(piece)
        piece.id = piece.id or id or (f"call_{piece.index + 1}" if new and id is None else "")
        piece.name = piece.name or name or ""
        piece.vendor.update(vendor or {})
        if arguments:
            piece.chunks.append(arguments)
        elif not new:
            return []
        return [ToolCallDelta(piece.index, piece.id if new else "", piece.name if new else "", arguments or "")]

    def call_key(self, position: int, id: str) -> Hashable:  # noqa: A002  (the field's name)
        """The key of a call by its position, told apart from another call that has the same position but another id."""
        known = [piece for piece in self._pieces if piece.kind == "call"]
        same = [piece for piece in known if piece.key in ((position, ""), (position, piece.id))]
        if not id:
            return same[-1].key if same else (position, "")
        for piece in same:
            if piece.id in ("", id):
                return piece.key
        return (position, id)

    def keep_reasoning(self, key: Hashable, vendor: Mapping[str, Any], details: Sequence[Mapping[str, Any]]) -> None:
        """What must go back to the vendor with the thoughts under `key`: members, and OpenRouter's list of details."""
        if not vendor and not details:
            return
        kept = self._piece("reasoning", key).vendor
        kept.update(vendor)
        if details:
            kept["reasoning_details"] = [*kept.get("reasoning_details", []), *details]

    def extend_vendor(self, key: Hashable, name: str, text: str) -> None:
        """More of a member of the vendor's own block of thoughts."""
        vendor = self._piece("reasoning", key).vendor
        vendor[name] = vendor.get(name, "") + text

    def keep_converse_reasoning(self, key: Hashable, said: Mapping[str, Any]) -> None:
        """Bedrock's block of thoughts as it is sent back, from its deltas."""
        vendor = self._piece("reasoning", key).vendor
        block = vendor.setdefault("reasoningContent", {})
        if said.get("redactedContent"):
            block["redactedContent"] = said["redactedContent"]
        for name in ("text", "signature"):
            if said.get(name):
                kept = block.setdefault("reasoningText", {})
                kept[name] = kept.get(name, "") + said[name]

    def missing_arguments(self, key: Hashable, arguments: str) -> str:
        """What of a call's arguments, given whole at its end, no delta brought."""
        for piece in self._pieces:
            if piece.kind == "call" and piece.key == key:
                had = "".join(piece.chunks)
                return arguments.removeprefix(had) if arguments.startswith(had) else ""
        return arguments

    def has(self, key: Hashable) -> bool:
        """Whether there is a piece of that key."""
        return any(piece.key == key for piece in self._pieces)

    def add(self, part: Part) -> None:
        """A part that comes whole."""
        self._pieces.append(_Piece("done", None, part=part))

    def use(self, usage: ChatUsage) -> list[ChatEvent]:
        """The usage so far."""
        if usage == self.usage:
            return []
        self.usage = usage
        return [UsageReport(usage)]

    def likely(self, logprobs: Sequence[float]) -> None:
        """How likely the vendor's model found more of its words: natural logarithms of probabilities, one per token."""
        self._logprobs.extend(logprobs)

    def tokens(self, tokens: Sequence[Mapping[str, Any]]) -> None:
        """More of its tokens, each with how likely it was."""
        self._tokens.extend(tokens)

    def finish(self, vendor_finish: str, reason: ChatFinish) -> None:
        """The vendor said why it stopped."""
        self._vendor_finish, self._finish = vendor_finish, reason

    def identify(self, *, model: Any = None, request_id: Any = None) -> None:
        """Which model answered, and what the vendor calls the answer."""
        if isinstance(model, str) and model:
            self.model = model
        if isinstance(request_id, str | int) and request_id:
            self.request_id = str(request_id)

    def reply(self) -> ChatReply:
        """What came so far; `incomplete` where no end was given.

        A refusal in words of its own wins over the vendor's plain end; so do calls of our tools, because several
        vendors end with `stop` when a tool was forced, or always.
        """
        reason: ChatFinish = self._finish or "incomplete"
        parts = tuple(_part(piece) for piece in self._pieces)
        if reason in ("stop", "tool_calls"):
            if self.refusal:
                reason = "refusal"
            else:
                reason = "tool_calls" if any(isinstance(part, ToolCallPart) for part in parts) else "stop"
        return ChatReply(
            parts,
            reason,
            self.usage,
            self.model,
            self.request_id,
            self._vendor_finish,
            self.refusal,
            likelihood_of(self._logprobs),
            tuple(self._tokens),
        )

    def _piece(self, kind: Literal["text", "reasoning"], key: Hashable) -> _Piece:
        if key is None:
            if self._pieces and self._pieces[-1].kind == kind:
                return self._pieces[-1]
        else:
            for piece in self._pieces:
                if piece.kind == kind and piece.key == key:
                    return piece
        piece = _Piece(kind, key)
        self._pieces.append(piece)
        return piece


def _part(piece: _Piece) -> Part:
    if piece.part is not None:
        return piece.part
    text = "".join(piece.chunks)
    if piece.kind == "call":
        return ToolCallPart(piece.id or f"call_{piece.index + 1}", piece.name, text or "{}", piece.vendor)
    if piece.kind == "reasoning":
        if "reasoning_content" in piece.vendor:
            piece.vendor["reasoning_content"] = text
        return ReasoningPart(text, piece.vendor)
    return TextPart(text)


def likelihood_of(logprobs: Sequence[float]) -> float | None:
    """The geometric mean of the tokens' probabilities, so that long answers are not less likely than short ones.

    Length-normalised likelihood: Malinin and Gales, "Uncertainty Estimation in Autoregressive Structured
    Prediction", ICLR 2021.
    """
    if not logprobs:
        return None
    # No probability is above 1, and sums of what a vendor made up must not overflow.
    return math.exp(math.fsum(min(max(one, _LEAST_LOGPROB), 0.0) for one in logprobs) / len(logprobs))


def logprobs_of(tokens: Any, text: str = "token", number: str = "logprob") -> list[float]:
    """Of the tokens that say something: those without a letter or digit are the braces and commas of JSON.

    Args:
        tokens: a vendor's list of them.
        text: the member with a token's words.
        number: the member with its natural logarithm, or with a list of them where the words are several tokens.
    """
    found: list[float] = []
    for token in items(tokens):
        if any(map(str.isalnum, words(token.get(text)))):
            said: Any = token.get(number)
            several = cast("list[Any]", said) if isinstance(said, list) else [said]
            found += [float(one) for one in several if isinstance(one, int | float)]
    return found


def members(value: Any) -> dict[str, Any]:
    """An object's members; none where it is no object: vendors leave out or null what they like."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def items(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where it is no list."""
    return [members(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def count(value: Any) -> int:
    """A number of tokens; 0 where it is none. Bounded: one vendor's nonsense must not break the sums of all."""
    return min(max(int(value), 0), MOST_TOKENS) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def words(value: Any) -> str:
    """A text; empty where it is none."""
    return value if isinstance(value, str) else ""
