"""Between the gateway and the breakers that all workers share: one for each model, and how it has been doing here."""

from __future__ import annotations

import logging
from uuid import UUID

from signoff.capabilities.gateway.asking import NOBODY
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.resilience.health import Health
from signoff.core.errors import StepError, UnavailableError
from signoff.core.ids import digest
from signoff.core.values import value
from signoff.runtime.breakers import BREAKER_OPEN, SLOW, Breakers
from signoff.runtime.breakers.guard import Entry

LONGEST_NAME = 200
"""Characters of a model's name that a breaker is called by as they are."""
WRONG = frozenset({"timeout", "rate_limited", "unavailable"})
"""Failures that are the model's or its vendor's; others say that the request was wrong, or our set-up."""
OK = "ok"
BROKEN_OFF = "broken_off"
"""What a breaker calls a stream that broke after its first token."""

_log = logging.getLogger(__name__)


@value
class Outcome:
    """How one call ended, as far as it tells of its model.

    Attributes:
        kind: `ok`, `cancelled`, or the kind of failure.
        latency_s: to the first token, or to the answer of one that does not stream, in seconds.
        begun: whether anything of an answer came.
    """

    kind: str
    latency_s: float
    begun: bool = False


class Guard:
    """Stands before the calls to models.

    Args:
        health: what routes rank by; of this process.
        breakers: shared by all processes; none leaves every model closed.
    """

    def __init__(self, health: Health, breakers: Breakers | None) -> None:
        self.health = health
        self._breakers = breakers

    async def fresh(self) -> None:
        """Know which breakers are open, where that was not looked at lately."""
        if self._breakers is not None:
            await self._breakers.fresh()

    def held(self, org_id: UUID, model: str) -> Failure | None:
        """Why a model is left alone now; none where it is not."""
        breakers = self._of(org_id)
        left_s = None if breakers is None else breakers.held_s((org_id, target_of(model)))
        return None if left_s is None else _open(model, left_s)

    async def admitted(self, org_id: UUID, model: str, timeout_s: float) -> Entry:
        """Let a call through, or as the one probe of a breaker that was open long enough.

        Raises:
            CallFailed: kind `breaker_open`.
        """
        breakers = self._of(org_id)
        if breakers is None:
            return Entry()
        try:
            return await breakers.admitted((org_id, target_of(model)), timeout_s)
        except StepError as error:
            raise CallFailed(_open(model, error.retry_after_s or 0.0)) from None
        except UnavailableError as error:
            # Without the database nobody knows better than this process: the call is made.
            _log.warning("the breaker of %s could not be asked: %s", model, error.detail)
            return Entry()

    def went_well(self, org_id: UUID, model: str, entry: Entry, outcome: Outcome) -> bool:
        """Note the end of a call of which nobody else has to know; false where it is another, for `ended`."""
        breakers = self._of(org_id)
        slow = breakers is not None and outcome.latency_s >= breakers.slow_s
        if outcome.kind != OK or slow or entry.probe is not None:
            return False
        entry.sent = True
        self.health.saw((org_id, model), failed=False, latency_s=outcome.latency_s)
        if breakers is not None:
            breakers.counted((org_id, target_of(model)), breakers.now_s())
        return True

    async def ended(self, org_id: UUID, model: str, entry: Entry, outcome: Outcome | None) -> None:
        """A call that was let through has ended; none where nothing was sent."""
        entry.sent = outcome is not None and outcome.kind != "cancelled"
        wrong = None
        if entry.sent and outcome is not None:
            failed = outcome.kind in WRONG
            self.health.saw((org_id, model), failed=failed, latency_s=outcome.latency_s)
            if failed:
                wrong = BROKEN_OFF if outcome.begun else outcome.kind
            elif self._breakers is not None and outcome.latency_s >= self._breakers.slow_s:
                wrong = SLOW
        breakers = self._of(org_id)
        if breakers is not None:
            await breakers.ended((org_id, target_of(model)), entry, wrong)

    def _of(self, org_id: UUID) -> Breakers | None:
        """Those of an organisation; nobody's calls have none."""
        return self._breakers if org_id != NOBODY.org_id else None


def target_of(model: str) -> str:
    """What a model's breaker is called."""
    return f"model/{model if len(model) <= LONGEST_NAME else digest(model.encode())}"


def _open(model: str, left_s: float) -> Failure:
    return Failure(model, BREAKER_OPEN, f"It failed too often and is left alone for {left_s:.0f} s more.", left_s)
