"""What one task came to: its calls, its failures, and the record that is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from signoff.capabilities.gateway.asking import Asked, CallRecord, Considered, Limits
from signoff.capabilities.gateway.budget import Budget
from signoff.capabilities.gateway.chat import ChatUsage
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.model import Attempt, GatewayError, total_usage
from signoff.capabilities.gateway.paying import Payer
from signoff.capabilities.gateway.protection import NotProtectedError
from signoff.core.clock import Clock
from signoff.core.ids import uuid7

CANCELLED = "cancelled"


class Account:
    """One task's.

    Args:
        clock: for when it began and how long it took.
        budget: the run's.
        observe: told every call as it ends.
        limits: the project's.
        asked: by whom; none counts in no limit.

    Attributes:
        id: under which its record is found.
        payer: pays for its calls.
        attempts: its calls, in order.
        considered: the route's explanation.
        signals: what detectors found.
    """

    def __init__(
        self,
        clock: Clock,
        budget: Budget | None,
        observe: Callable[[Attempt], None] | None,
        limits: Limits | None,
        asked: Asked | None,
    ) -> None:
        self.attempts: list[Attempt] = []
        self.considered: Sequence[Considered] = ()
        self.signals: dict[str, Any] = {}
        self.payer = Payer(clock, budget, self._note, limits, asked)
        self._clock = clock
        self._observe = observe
        self._at = clock.now()
        self.id = uuid7(time_ms=int(self._at.timestamp() * 1000))
        self._began_s = clock.monotonic_s()
        self._outcome, self._finish_reason, self._model = CANCELLED, "", ""
        self._cached = False

    def failed_with(self, model: str, error: NotProtectedError | CallFailed) -> Failure:
        """Why a model gave no answer."""
        return error.failure if isinstance(error, CallFailed) else Failure(model, "forbidden", str(error))

    def answered(self, model: str, finish_reason: str = "stop", *, cached: bool = False) -> None:
        """A model has answered, now or before."""
        self._cached = cached
        self._outcome, self._finish_reason, self._model = "ok", finish_reason, model

    def failed(self, error: GatewayError) -> None:
        """None has."""
        self._outcome = error.reason

    def record(self, kind: str, asked: Asked) -> CallRecord:
        """What is kept of it."""
        reported = self.payer.tried[-1].tokens if self.payer.tried else None
        return CallRecord(
            id=self.id,
            at=self._at,
            asked=asked,
            kind=kind,
            outcome=self._outcome,
            finish_reason=self._finish_reason,
            model=self._model,
            considered=tuple(self.considered),
            tried=tuple(self.payer.tried),
            usage=total_usage(self.attempts),
            tokens=reported or ChatUsage(),
            first_token_s=None,
            latency_s=self._clock.monotonic_s() - self._began_s,
            cached=self._cached,
            signals=dict(self.signals),
        )

    def _note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        if self._observe is not None:
            self._observe(attempt)
