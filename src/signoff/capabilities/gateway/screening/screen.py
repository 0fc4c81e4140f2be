"""Scores of what comes in and reports on what leaves, off the event loop, each text once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from signoff.capabilities.gateway.chat import ChatReply, ReasoningPart, TextPart, ToolCallPart
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.model import Decide, DecisionLike
from signoff.capabilities.gateway.screening.containing import Containment
from signoff.capabilities.gateway.screening.filtering import ContentFilters, Filtered, Side
from signoff.capabilities.gateway.screening.incoming import texts_of_json
from signoff.catalog.answer_contracts import FilterUse
from signoff.catalog.screening import ScreeningSettings
from signoff.core.errors import SignoffError
from signoff.core.ids import digest
from signoff.core.values import value
from signoff.governance.injection import VERSION, check_outgoing, detect

INLINE_CHARACTERS = 500
"""So much is looked at for ways out in less time than handing it to another thread takes."""
PERCENT = 100
MAX_REMEMBERED = 1_024
"""Texts whose scores, and what filters say of them, are kept: a conversation shows the same ones each time."""


@value
class InjectionScore:
    """How much the untrusted texts of one call look like an injection: of the most suspicious of them.

    Attributes:
        score: 0 to 1; no calibrated probability.
        suspicious: it reaches the detector's threshold.
        complete: all of the texts was read.
        texts: how many there are.
    """

    score: float
    suspicious: bool
    complete: bool
    texts: int

    @property
    def percent(self) -> int:
        """The score as policies see it: Cedar has no fractions."""
        return int(self.score * PERCENT)

    def as_dict(self) -> dict[str, Any]:
        """For records: no word of the texts."""
        return {
            "score": self.score,
            "suspicious": self.suspicious,
            "complete": self.complete,
            "texts": self.texts,
            "version": VERSION,
        }


class Screen:
    """One serves all calls of a process.

    Args:
        filters: the deployment's; none where a gateway has none.
    """

    def __init__(self, filters: ContentFilters | None = None) -> None:
        self._filters = filters
        self._known: OrderedDict[str, tuple[float, bool]] = OrderedDict()
        self._said: OrderedDict[str, int] = OrderedDict()
        self._knowing = threading.Lock()

    async def scored(self, texts: Sequence[str], settings: ScreeningSettings) -> InjectionScore | None:
        """The score of untrusted texts; none where there are none, or where nobody wants to know."""
        if not texts or not settings.injection:
            return None
        return await asyncio.to_thread(self._scored, texts, settings.injection_characters)

    async def filtered(self, model: str, uses: Sequence[FilterUse], texts: Iterable[str], side: Side) -> Filtered:
        """What filters say of what a model is shown, or of what it answered.

        Raises:
            CallFailed: kind `forbidden`, there are no filters here; `unavailable`, one could not look: what nobody
                looked at does not pass.
        """
        if not uses:
            return Filtered()
        if self._filters is None:
            raise CallFailed(Failure(model, "forbidden", "Content filters are demanded, and this gateway has none."))
        return await asyncio.to_thread(self._filtered, self._filters, model, uses, list(texts), side)

    def _filtered(
        self, filters: ContentFilters, model: str, uses: Sequence[FilterUse], texts: Sequence[str], side: Side
    ) -> Filtered:
        signals: list[dict[str, Any]] = []
        for use in uses:
            own = orjson.dumps([use.name, sorted((key, *words) for key, words in use.settings.items())])
            try:
                found = sum(self._objections(filters, use, own, text) for text in texts if text)
            except SignoffError:
                # Its own words may have what it read.
                failure = Failure(model, "unavailable", f"The filter '{use.name}' could not look ({side}).")
                raise CallFailed(failure) from None
            if found:
                signals.append({"at": side, "filter": use.name, "verdict": use.verdict, "found": found})
        return Filtered(tuple(signals), tuple(one["filter"] for one in signals if one["verdict"] == "block"))

    def _objections(self, filters: ContentFilters, use: FilterUse, own: bytes, text: str) -> int:
        key = digest(own + text.encode("utf-8", "surrogatepass"))
        with self._knowing:
            known = self._said.get(key)
        if known is None:
            known = filters.objections(use, text)
            with self._knowing:
                self._said[key] = known
                while len(self._said) > MAX_REMEMBERED:
                    self._said.popitem(last=False)
        return known

    async def left(
        self, model: str, texts: Iterable[str], containment: Containment | None, settings: ScreeningSettings
    ) -> Mapping[str, Any]:
        """What would carry data out of texts that leave; empty where nothing was found.

        Args:
            model: who wrote them.
            texts: what leaves, one after the other.
            containment: what the permit demands; none only looks.
            settings: whether it looks where no permit demands it.

        Raises:
            CallFailed: kind `content_filter`, the permit does not let it leave.
        """
        if containment is None and not settings.outgoing:
            return {}
        text = "\n".join(texts)
        hosts, canaries = (containment.hosts, containment.canaries) if containment else ((), ())
        if len(text) <= INLINE_CHARACTERS:
            report = check_outgoing(text, hosts=hosts, canaries=canaries)
        else:
            report = await asyncio.to_thread(check_outgoing, text, hosts=hosts, canaries=canaries)
        if report.verdict == "allow":
            return {}
        kinds = dict(Counter(finding.kind for finding in report.findings))
        if containment is not None and report.verdict == "block":
            detail = (
                f"Its answer could carry data out ({', '.join(sorted(kinds))}), which the permit's @contain forbids."
            )
            raise CallFailed(Failure(model, "content_filter", detail))
        return {"verdict": report.verdict, "kinds": kinds}

    def _scored(self, texts: Sequence[str], characters: int) -> InjectionScore:
        left, best, suspicious, complete = characters, 0.0, False, True
        for text in texts:
            seen = text[:left]
            left -= len(seen)
            complete = complete and len(seen) == len(text)
            score, odd = self._of(seen)
            best, suspicious = max(best, score), suspicious or odd
        return InjectionScore(best, suspicious, complete, len(texts))

    def _of(self, text: str) -> tuple[float, bool]:
        key = digest(text.encode("utf-8", "surrogatepass"))
        with self._knowing:
            known = self._known.get(key)
        if known is None:
            signal = detect(text)
            known = (signal.score, signal.suspicious)
            with self._knowing:
                self._known[key] = known
                while len(self._known) > MAX_REMEMBERED:
                    self._known.popitem(last=False)
        return known


def knowing(decide: Decide, found: InjectionScore | None) -> Decide:
    """Policy's answer, asked with the score as the attribute `injection`, from 0 to 100."""
    if found is None:
        return decide

    def decided(model: str, attributes: Mapping[str, Any], /) -> DecisionLike:
        return decide(model, {**attributes, "injection": found.percent})

    return decided


def leaving(reply: ChatReply) -> list[str]:
    """The texts of a reply: words, thoughts, and the arguments of tools, JSON by its values."""
    found = [part.text for part in reply.parts if isinstance(part, TextPart | ReasoningPart)]
    found += [texts_of_json(part.arguments) for part in reply.parts if isinstance(part, ToolCallPart)]
    return [*found, reply.refusal]
