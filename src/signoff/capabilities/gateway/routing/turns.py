"""Whose turn it is: the candidates in their order, without those that what happened so far rules out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from signoff.capabilities.gateway.asking import Asked
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.model import Decide, ObligationLike
from signoff.capabilities.gateway.routing.model import Candidate, Needs, Routed
from signoff.capabilities.gateway.routing.permits import decided
from signoff.capabilities.gateway.routing.requirements import cost_of
from signoff.core.money import Cost


class Turns:
    """Of one request.

    Args:
        routed: the candidates.
        asked: for policy, which is asked again before each fallback.
        needs: for what it would cost.
        decide: policy's answer.
        left_s: how long the call may still take, in seconds.

    Attributes:
        failures: why each model so far gave no answer.
    """

    def __init__(
        self, routed: Routed, asked: Asked, needs: Needs, *, decide: Decide, left_s: Callable[[], float]
    ) -> None:
        self._routed = routed
        self._asked = asked
        self._needs = needs
        self._decide = decide
        self._left_s = left_s
        self._read_at_most: int | None = None
        self._dearer: Cost | None = None
        self.failures: list[Failure] = list(routed.failures)

    def __iter__(self) -> Iterator[Candidate]:
        for place, candidate in enumerate(self._routed.candidates):
            if self.failures and self.failures[-1].final:
                return
            if self._left_s() <= 0:
                self.failures.append(Failure(candidate.spec.name, "timeout", "No time was left to ask it."))
                return
            try:
                self._check(candidate)
                # Policy may have changed since the route was made: what it says now holds.
                duties = self._again(candidate) if place else candidate.obligations
            except CallFailed as failed:
                self.failures.append(failed.failure)
                continue
            yield candidate if duties is candidate.obligations else replace(candidate, obligations=duties)

    @property
    def names(self) -> list[str]:
        """The candidates, best first."""
        return [candidate.spec.name for candidate in self._routed.candidates]

    def failed(self, candidate: Candidate, failure: Failure) -> None:
        """A candidate gave no answer."""
        self.failures.append(failure)
        if failure.kind == "context_overflow" and candidate.context_tokens is not None:
            self._read_at_most = max(self._read_at_most or 0, candidate.context_tokens)
        if failure.at_limit == "cheaper":
            self._dearer = cost_of(candidate, self._needs)

    def _check(self, candidate: Candidate) -> None:
        name = candidate.spec.name
        reads = candidate.context_tokens
        if self._read_at_most is not None and reads is not None and reads <= self._read_at_most:
            detail = f"It reads {reads:,} tokens, and one that reads {self._read_at_most:,} could not take the request."
            raise CallFailed(Failure(name, "lacks", detail))
        if self._dearer is not None:
            cost = cost_of(candidate, self._needs)
            if cost is None or cost >= self._dearer:
                raise CallFailed(Failure(name, "lacks", "A limit asks for a cheaper model, and it is none."))

    def _again(self, candidate: Candidate) -> Sequence[ObligationLike]:
        return decided(candidate.spec, candidate.provider, self._asked.task, self._asked.prompt, self._decide)
