"""Content filters before and after a call: the project's (`screening:`), and what a permit's `@filter("…")` demands.

The filters themselves are the deployment's; whoever puts a gateway together binds them, as rooms do not know each
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, cast

from signoff.capabilities.gateway.model import ObligationLike
from signoff.capabilities.gateway.protection import NotProtectedError
from signoff.catalog.answer_contracts import CONTENT_FILTERS, FilterName, FilterUse
from signoff.catalog.screening import Screening
from signoff.core.values import value

FILTER = "filter"
"""The obligation's name."""
Side = Literal["in", "out"]


class ContentFilters(Protocol):
    """The filters of a deployment, by their names."""

    def objections(self, use: FilterUse, text: str, /) -> int:
        """To how much of a text a filter objects. Called in a thread; it may block.

        Raises:
            SignoffError: it could not look.
        """
        ...


@value
class Filtering:
    """The filters of one candidate.

    Attributes:
        before: of what it is shown.
        after: of what it answers.
    """

    before: tuple[FilterUse, ...] = ()
    after: tuple[FilterUse, ...] = ()

    @property
    def withholds(self) -> bool:
        """Whether an answer may turn out to be one that nobody may see."""
        return any(use.verdict == "block" for use in self.after)


UNFILTERED = Filtering()


@value
class Filtered:
    """What filters said of some texts.

    Attributes:
        signals: of each that found something, for records: no word of the texts.
        blocked: the names of those that let the texts not pass.
    """

    signals: tuple[dict[str, Any], ...] = ()
    blocked: tuple[str, ...] = ()


def filtering_of(screening: Screening, obligations: Sequence[ObligationLike]) -> Filtering:
    """The project's filters, and those of permits, which block.

    Raises:
        NotProtectedError: a permit demands what cannot be done.
    """
    demanded = [duty.value for duty in obligations if duty.kind == FILTER]
    if not demanded:
        if not screening.before and not screening.after:
            return UNFILTERED
        return Filtering(screening.before, screening.after)
    sides: dict[Side, dict[FilterName, FilterUse]] = {
        "in": {use.name: use for use in screening.before},
        "out": {use.name: use for use in screening.after},
    }
    for duty in demanded:
        for side, name in _read(duty):
            other = sides["out" if side == "in" else "in"].get(name)
            known = sides[side].get(name) or other or FilterUse(name, "block")
            if name == "promises" and not any(known.settings.values()):
                raise NotProtectedError("@filter names promises, and signoff.yaml names no words of it (`screening`).")
            sides[side][name] = FilterUse(name, "block", None, known.settings)
    return Filtering(tuple(sides["in"].values()), tuple(sides["out"].values()))


def _read(value: str) -> list[tuple[Side, FilterName]]:
    found: list[tuple[Side, FilterName]] = []
    for part in filter(None, (text.strip() for text in value.split(";"))):
        side, colon, names = part.partition(":")
        listed = [name.strip() for name in names.split(",") if name.strip()]
        if not colon or side.strip() not in ("in", "out") or not listed:
            raise NotProtectedError('@filter is written as @filter("in: secrets; out: toxicity, links").')
        for name in listed:
            if name not in CONTENT_FILTERS:
                raise NotProtectedError(f"@filter: there is no filter '{name}', but {', '.join(CONTENT_FILTERS)}.")
            found.append((cast("Side", side.strip()), name))
    return found
