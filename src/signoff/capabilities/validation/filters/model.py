"""What a filter is, what it finds, and what becomes of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

Verdict = Literal["pass", "change", "review", "block", "warn"]


@dataclass(frozen=True, slots=True)
class Found:
    """Something in a text that should not go out as it is.

    Attributes:
        reason: for people, without the content itself.
        start: the span to take out, in characters; none where only the whole can be judged.
        end: its end, exclusive.
        replacement: what stands there instead.
    """

    reason: str
    start: int | None = None
    end: int | None = None
    replacement: str = "[removed]"


@runtime_checkable
class Filter(Protocol):
    """Looks at outgoing text. A deployment replaces one by the entry point `signoff.filters`, under the same name.

    It is called in a thread, may block, and must be safe to call from several at once. A `SignoffError` that it raises
    fails the step: text that nobody looked at does not go out.
    """

    def find(self, text: str, settings: Mapping[str, tuple[str, ...]]) -> Sequence[Found]:
        """Everything that it objects to.

        Args:
            text: as it would go out; may be HTML.
            settings: as declared: `hosts`, `allow`, `words`, `patterns`.
        """
        ...


@dataclass(frozen=True, slots=True)
class FilterResult:
    """What one filter did with one field.

    Attributes:
        filter: its name.
        field: the answer's or argument's name, with `/` before what is inside it.
        verdict: what becomes of the text.
        reasons: why; never the content.
    """

    filter: str
    field: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The result for the journal."""
        return {"filter": self.filter, "field": self.field, "verdict": self.verdict, "reasons": list(self.reasons)}
