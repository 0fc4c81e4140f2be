"""How a chat is tuned beyond what every vendor has. What a model has no place for is never dropped: it is not asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, fields
from typing import Literal, Protocol, get_args, runtime_checkable

from signoff.core.values import value

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)
Verbosity = Literal["low", "medium", "high"]
VERBOSITIES: tuple[Verbosity, ...] = get_args(Verbosity)


@value
class Tuning:
    """What is asked for; none leaves a thing to the model.

    Attributes:
        top_p: draw among the likeliest tokens of this probability together, from 0 to 1.
        top_k: draw among this many tokens.
        seed: draw the same again, as far as the vendor can.
        frequency_penalty, presence_penalty: against what was said before, from -2 to 2.
        effort: how much the model thinks first.
        thinking_tokens: the same as a number of tokens.
        adaptive_thinking: true: the model decides whether and how much it thinks.
        parallel_tools: false: one tool call at a time.
        verbosity: how much is said.
        logit_bias: what is added to the likelihood of tokens, by their ids, from -100 to 100.
        flex_tier: served later for less, where the vendor has such a tier.
        standard_tier: never served as what was reserved for more.
        logprobs: how likely each token of the answer was, each with so many others that were likely; from 0 to 20.
        optional: what a model has no place for is left out, instead of the model.
    """

    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    effort: Effort | None = None
    thinking_tokens: int | None = None
    adaptive_thinking: Literal[True] | None = None
    parallel_tools: bool | None = None
    verbosity: Verbosity | None = None
    logit_bias: Mapping[str, float] | None = field(default=None, hash=False)
    flex_tier: Literal["flex"] | None = None
    standard_tier: Literal["standard_only"] | None = None
    logprobs: int | None = None
    optional: bool = False

    @property
    def wanted(self) -> frozenset[str]:
        """The names of what is asked for."""
        if self is UNTUNED:
            return _NOTHING
        return frozenset(name for name in _NAMES if getattr(self, name) is not None)

    @property
    def thinks(self) -> bool:
        """Whether thoughts are asked for: vendors take no temperature then."""
        return bool(self.adaptive_thinking) or self.thinking_tokens is not None or self.effort not in (None, "none")


_NAMES = tuple(one.name for one in fields(Tuning) if one.name != "optional")
UNTUNED = Tuning()
_NOTHING = frozenset[str]()
_ASKED_AS: Mapping[str, str] = {
    "effort": "reasoning_effort",
    "thinking_tokens": "thinking",
    "adaptive_thinking": "thinking",
    "parallel_tools": "parallel_tool_calls",
    "flex_tier": "service_tier",
    "standard_tier": "service_tier",
}


def parameters(names: Iterable[str]) -> list[str]:
    """What requests call these members of `Tuning`, sorted: for those who sent them."""
    return sorted({_ASKED_AS.get(name, name) for name in names})


@runtime_checkable
class Tunable(Protocol):
    """A provider that carries out some of it.

    Attributes:
        tunings: names of `Tuning`'s members that it has a place for.
    """

    @property
    def tunings(self) -> frozenset[str]: ...


def untunable(provider: object, wanted: frozenset[str]) -> frozenset[str]:
    """What of that a provider has no place for."""
    if not wanted:
        return wanted  # most ask for nothing, and asking a protocol takes longer than deciding by policy
    return wanted - provider.tunings if isinstance(provider, Tunable) else wanted
