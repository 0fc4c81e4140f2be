"""A smaller form of `python -m benchmarks faults`: no fault is silent to the vendors' own SDKs."""

from __future__ import annotations

from benchmarks.faults import ENDPOINTS, cases, outcomes_of

from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.foundation.database import Database
from signoff.testing.faulty_vendor import FAULTS

QUICKEST = ("half", "clean-half", "malformed", "limit-after", "error-event", "short-length", "refused")
PATIENCE = ResilienceSettings(retries=0, first_token_s=2, between_tokens_s=2, total_s=3)


async def test_no_fault_is_silent(database: Database) -> None:
    wanted = cases(QUICKEST)
    outcomes = await outcomes_of(database, wanted, patience=PATIENCE)
    assert len(outcomes) == len(wanted) == 19 * len(QUICKEST)
    assert [outcome for outcome in outcomes if outcome.silent] == []
    # Whoever asks is told what happened: a limit is a limit, for both SDKs.
    limited = {outcome.seen for outcome in outcomes if outcome.case.fault == "limit-after"}
    assert limited == {"RateLimitError 429"}


def test_every_fault_meets_every_endpoint() -> None:
    asked = {(case.fault, case.endpoint) for case in cases()}
    assert asked == {(fault, endpoint) for fault in FAULTS for endpoint in ENDPOINTS}
