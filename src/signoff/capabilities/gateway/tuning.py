"""How a chat is tuned beyond what every vendor has. What a model has no place for is never dropped: it is not asked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, Protocol, get_args, runtime_checkable

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is asked for; none leaves a thing to the model.

    Attributes:
        top_p: draw among the likeliest tokens of this probability together, from 0 to 1.
        top_k: draw among this many tokens.
        seed: draw the same again, as far as the vendor can.
        frequency_penalty, presence_penalty: against what was said before, from -2 to 2.
        effort: how much the model thinks first.
        thinking_tokens: the same as a number of tokens.
        parallel_tools: false: one tool call at a time.
    """

    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    effort: Effort | None = None
    thinking_tokens: int | None = None
    parallel_tools: bool | None = None

    @property
    def wanted(self) -> frozenset[str]:
        """The names of what is asked for."""
        return frozenset(one.name for one in fields(self) if getattr(self, one.name) is not None)

    @property
    def thinks(self) -> bool:
        """Whether thoughts are asked for: vendors take no temperature then."""
        return self.thinking_tokens is not None or self.effort not in (None, "none")


UNTUNED = Tuning()


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
