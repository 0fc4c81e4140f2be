"""Variants of a prompt's sections: by locale, product line or any other dimension that its front matter declares.

A dimension takes its value from the input variable of its name, so which text a model gets follows from data that the
caller gave, is labelled and is journaled. What is chosen is always the author's own text: a value that nobody declared
falls back, step by step, to the dimension's default and then to the section that has no condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from signoff.core.values import value

LOCALE = "locale"
"""The dimension whose values are language tags (RFC 5646): `de-AT` falls back to `de` by itself (RFC 4647, lookup)."""


@value
class Dimension:
    """One way in which a prompt's sections vary.

    Attributes:
        name: the input variable that it takes its value from.
        values: which values sections may be written for, in order.
        default: what is taken where the variable has none of them.
        fallback: by value, which other value stands in where a section is not written for it.
    """

    name: str
    values: tuple[str, ...]
    default: str
    fallback: Mapping[str, str] = field(default_factory=dict[str, str])

    def chain(self, value: Any) -> tuple[str, ...]:
        """The declared values that may stand in for a value, best first; the default's are always at the end."""
        found: dict[str, None] = {}
        for start in (self._declared(value), self.default):
            at: str | None = start
            while at is not None and at not in found:
                found[at] = None
                at = self.fallback.get(at) or self._shorter(at)
        return tuple(found)

    def _declared(self, value: Any) -> str | None:
        """The declared value that was meant: of a language tag, in any case and with the most parts that are there."""
        if not isinstance(value, str):
            return None
        if self.name != LOCALE:
            return value if value in self.values else None
        wanted = value.replace("_", "-").lower()
        known = {name.lower(): name for name in self.values}
        while wanted:
            if wanted in known:
                return known[wanted]
            wanted = wanted.rpartition("-")[0]
        return None

    def _shorter(self, value: str) -> str | None:
        if self.name != LOCALE:
            return None
        while value:
            value = value.rpartition("-")[0]
            if value in self.values:
                return value
        return None


@value
class Alternative:
    """A section's text for some values: `# user (locale=de)`.

    Attributes:
        conditions: the value of each dimension that it is for; it is for any value of the others.
        source: the template.
    """

    conditions: Mapping[str, str]
    source: str


def choose(
    source: str, alternatives: Sequence[Alternative], dimensions: Sequence[Dimension], values: Mapping[str, Any]
) -> str:
    """The text of a section that fits best; its own where no alternative fits.

    A dimension that is declared earlier counts more; of one dimension, a value nearer to the one asked for does, and no
    condition on it counts least.
    """
    chains = {dimension.name: dimension.chain(values.get(dimension.name)) for dimension in dimensions}
    fitting = [
        alternative
        for alternative in alternatives
        if all(value in chains[name] for name, value in alternative.conditions.items())
    ]
    if not fitting:
        return source

    def rank(alternative: Alternative) -> list[int]:
        return [
            chain.index(alternative.conditions[name]) if name in alternative.conditions else len(chain)
            for name, chain in chains.items()
        ]

    return min(fitting, key=rank).source
