"""Filters one after the other over the texts of an answer, arguments or an event: the next reads what one changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, cast

from signoff.capabilities.validation.filters.model import Filter, FilterResult, Found, Verdict
from signoff.catalog.answer_contracts import FilterUse
from signoff.core.errors import InvalidError, Problem, SignoffError, StepError
from signoff.governance.privacy.redaction import digits_of

ENTRY_POINTS = "signoff.filters"
"""The group of entry points that name a deployment's own filters: each a class without arguments."""
MAX_REASONS = 20
"""Reasons that are kept of one filter and field."""
MAX_DEPTH = 32
"""How deep texts are looked for."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """Values after their filters.

    Attributes:
        output: with what was changed.
        results: of every filter and field that did not just pass.
    """

    output: Mapping[str, Any]
    results: tuple[FilterResult, ...] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """The step's field `filtered` (`FILTERED_SCHEMA`)."""
        asking = self.of("review")
        reasons = [f"{result.field} {reason}" for result in asking for reason in result.reasons]
        changed = any(result.verdict == "change" for result in self.results)
        return {"review": bool(asking), "changed": changed, "reasons": reasons}

    def require(self, what: str = "The answer") -> None:
        """Return unless something was blocked.

        Args:
            what: may not go out, for people.

        Raises:
            StepError: kind `filtered`; each of its problems has the filter's name as code, and the field.
        """
        blocked = self.of("block")
        if blocked:
            raise StepError(f"{what} may not go out: {told(blocked)}.", kind="filtered", problems=problems(blocked))

    def of(self, verdict: Verdict) -> tuple[FilterResult, ...]:
        """The results with that verdict."""
        return tuple(result for result in self.results if result.verdict == verdict)


def told(results: Sequence[FilterResult]) -> str:
    """What was found, for people, without the content."""
    return "; ".join(f"{result.field} {', '.join(result.reasons)} ({result.filter})" for result in results)


def problems(results: Sequence[FilterResult]) -> list[Problem]:
    """One for each filter and field."""
    return [
        Problem(f"It {', '.join(result.reasons)}.", pointer=f"/{result.field}", code=result.filter)
        for result in results
    ]


@cache
def default_filters() -> Mapping[str, Filter]:
    """The filters by name: Signoff's own, replaced by those that a deployment has installed.

    Raises:
        InvalidError: an entry point names something that cannot be loaded, or that is no filter.
    """
    from signoff.capabilities.validation.filters.local import (  # noqa: PLC0415  (nh3 only where text goes out)
        HtmlFilter,
        LinkFilter,
        WordFilter,
        personal_data,
        secrets,
    )
    from signoff.capabilities.validation.filters.toxicity import ToxicityFilter  # noqa: PLC0415  (likewise)

    found: dict[str, Filter] = {
        "html": HtmlFilter(),
        "secrets": secrets(),
        "links": LinkFilter(),
        "personal_data": personal_data(),
        "promises": WordFilter(reason="promises"),
        "toxicity": ToxicityFilter(),
    }
    for point in entry_points(group=ENTRY_POINTS):
        try:
            made: Any = point.load()()
        except Exception as error:
            raise InvalidError(f"The filter '{point.name}' ({point.value}) cannot be loaded: {error}") from error
        if point.name not in found or not isinstance(made, Filter):
            raise InvalidError(f"'{point.name}' ({point.value}) replaces none of: {', '.join(found)}")
        found[point.name] = made
    return found


def apply_filters(
    uses: Sequence[FilterUse], output: Mapping[str, Any], filters: Mapping[str, Filter] | None = None
) -> Filtered:
    """Every filter, in order, over the texts that it is for.

    Raises:
        StepError: kind `filter_failed`: one could not look, so nothing goes out.
    """
    known = default_filters() if filters is None else filters
    results: list[FilterResult] = []
    current: dict[str, Any] = dict(output)
    for use in uses:
        for name in (use.output_field,) if use.output_field else tuple(current):
            if name in current:
                current[name] = _walk(use, known[use.name], current[name], name, results, MAX_DEPTH)
    return Filtered(current, tuple(results))


def _walk(  # noqa: PLR0917  (a recursion with what it carries along)
    use: FilterUse, looking: Filter, value: Any, at: str, results: list[FilterResult], depth: int
) -> Any:
    if isinstance(value, str):
        return _one(use, looking, value, at, results)
    if not depth:
        raise StepError(f"'{at}' is nested more than {MAX_DEPTH} deep.", kind="filter_failed")
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        for key, _ in items:
            if not key.isidentifier():  # a name that nobody wrote down as one
                _look(use, looking, key, at, results)
        return {key: _walk(use, looking, item, f"{at}/{key}", results, depth - 1) for key, item in items}
    if isinstance(value, list):
        listed = enumerate(cast("list[Any]", value))
        return [_walk(use, looking, item, f"{at}/{place}", results, depth - 1) for place, item in listed]
    if (digits := digits_of(value)) is not None:
        _look(use, looking, digits, at, results)
    return value


def _look(use: FilterUse, looking: Filter, text: str, at: str, results: list[FilterResult]) -> None:
    """Look at what cannot be changed in its place, a number or a member's name: it blocks where it would be changed."""
    verdict = "block" if use.verdict == "change" else use.verdict
    _one(FilterUse(use.name, verdict, use.output_field, use.settings), looking, text, at, results)


def _one(use: FilterUse, looking: Filter, text: str, at: str, results: list[FilterResult]) -> str:
    try:
        found = [*looking.find(text, use.settings)]
        if use.verdict == "change" and all(item.start is not None for item in found):
            changed = _without(text, found) if found else text
            # What only a reader sees (through tags and entities) has no span to take out: it does not go out at all.
            left = list(_hidden(use, looking, changed))
            verdict = "block" if left else "change"
        else:
            changed, left, verdict = text, list(_hidden(use, looking, text)), use.verdict
            verdict = "block" if verdict == "change" else verdict
    except SignoffError as error:
        raise StepError(f"The filter '{use.name}' could not look: {error}", kind="filter_failed") from error
    except Exception as error:  # a vendor's code may raise anything; what it says may repeat the text
        kind = type(error).__name__
        raise StepError(f"The filter '{use.name}' could not look: {kind}", kind="filter_failed") from error
    reasons = tuple(dict.fromkeys(item.reason for item in (*found, *left)))[:MAX_REASONS]
    if reasons:
        results.append(FilterResult(use.name, at, verdict, reasons))
    return changed


def _hidden(use: FilterUse, looking: Filter, text: str) -> Iterator[Found]:
    from signoff.capabilities.validation.filters.local import visible  # noqa: PLC0415  (nh3 only where text goes out)

    shown = visible(text)
    if use.name != "html" and shown != text:
        yield from looking.find(shown, use.settings)


def _without(text: str, found: Sequence[Found]) -> str:
    for item in sorted(found, key=lambda item: item.start or 0, reverse=True):
        text = text[: item.start] + item.replacement + text[item.end :]
    return text
