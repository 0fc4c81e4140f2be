"""Why one model gave no answer, and what all models' failures together mean."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.capabilities.gateway.model import Attempt, GatewayError
from signoff.core.errors import Problem
from signoff.core.values import value
from signoff.runtime.breakers import BREAKER_OPEN

RETRYABLE = frozenset({"timeout", "rate_limited", "unavailable"})
"""Kinds of failure that may pass by themselves."""


@value
class Failure:
    """Why one model gave no answer.

    Attributes:
        model: its name in `models.yaml`.
        kind: `forbidden`, `budget`, `contract`, `refused`, or a `ProviderError` kind.
        detail: for people, without content or keys.
        retry_after_s: how long the vendor asked to wait, or when a limit has room again, in seconds.
        problems: how its answer broke the contract.
        policies: that forbade it.
        at_limit: what the project declared for this case; of `quota` and `budget`.
    """

    model: str
    kind: str
    detail: str
    retry_after_s: float | None = None
    problems: tuple[Problem, ...] = ()
    policies: tuple[str, ...] = ()
    at_limit: str = ""

    @property
    def final(self) -> bool:
        """Whether no other model may be asked.

        Asking around until some model agrees is no safety, and a limit that refuses is not gone round.
        """
        return self.kind in ("refused", "content_filter") or self.at_limit in ("refuse", "ask", "park")


class CallFailed(Exception):  # noqa: N818  (never leaves the gateway; it carries a Failure to the next candidate)
    """One model gave no answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def final_error(task: str, failures: Sequence[Failure], attempts: Sequence[Attempt]) -> GatewayError:
    """What the failures of all candidates together mean.

    A refusal decides, and so does a limit of the project's that is not gone round; else what may pass by itself makes
    the whole task worth a retry; else a broken contract says more than missing money, which says more than policy,
    because the earlier ones got further.
    """
    kinds = {failure.kind for failure in failures}
    detail = f"No model could do the task '{task}'. " + " ".join(f"{item.model}: {item.detail}" for item in failures)
    problems = [problem for item in failures for problem in item.problems]
    limited = next((item for item in failures if item.at_limit and item.final), None)
    retryable = False
    if kinds & {"refused", "content_filter"}:
        kind = "model_refused" if "refused" in kinds else "model_filtered"
    elif limited is not None:
        kind = limited.kind
    elif kinds & RETRYABLE:
        kind, retryable = "model_unavailable", True
    elif BREAKER_OPEN in kinds:
        # Nothing was sent: a step that is held back so spends no try of its own.
        kind, retryable = BREAKER_OPEN, True
    elif kinds & {"truncated", "contract"}:
        kind = "model_contract" if "contract" in kinds else "model_truncated"
    elif "context_overflow" in kinds:
        kind = "context_overflow"
    elif kinds & {"budget", "quota"}:
        kind = "budget" if "budget" in kinds else "quota"
        limited = next((item for item in failures if item.kind == kind and item.at_limit), None)
    elif kinds == {"forbidden"}:
        kind = "forbidden"
    else:
        kind = "model_unavailable"
    waits = [
        item.retry_after_s
        for item in failures
        if item.kind in (*RETRYABLE, BREAKER_OPEN) and item.retry_after_s is not None
    ]
    return GatewayError(
        detail,
        kind=kind,
        retryable=retryable,
        retry_after_s=min(waits, default=None) if retryable else None if limited is None else limited.retry_after_s,
        problems=problems,
        attempts=attempts,
        # Who asks for what no model does cannot mend it by asking again, though others of the route failed otherwise.
        reason="cannot" if kind == "model_unavailable" and not retryable and "cannot" in kinds else "",
        at_limit="" if limited is None or kind in ("model_refused", "model_filtered") else limited.at_limit,
    )
