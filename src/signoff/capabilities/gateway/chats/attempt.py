"""One call to one model: room set aside before it, and settled and noted after it, however it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from signoff.capabilities.gateway.asking import Admission, Asked, Estimate, LimitReached, Tried
from signoff.capabilities.gateway.chat import ChatReply, ChatRequest
from signoff.capabilities.gateway.chats.estimating import estimate, usage_of
from signoff.capabilities.gateway.chats.ledger import Ledger
from signoff.capabilities.gateway.chats.means import Means
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.model import Attempt as Noted
from signoff.capabilities.gateway.paying import run_lacks, unanswered
from signoff.capabilities.gateway.pricing import price_version
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.resilience.guarding import Outcome
from signoff.capabilities.gateway.routing.model import Candidate
from signoff.capabilities.gateway.tracing import trace
from signoff.core.money import Cost, Usage

OK = "ok"
CANCELLED = "cancelled"


@dataclass(slots=True)
class Attempt:
    """How one call goes.

    Attributes:
        outcome: `ok`, or the kind of failure.
        reply: what came, as far as it came.
        first_token_s: since the call began, in seconds; none before.
    """

    began_s: float
    outcome: str = CANCELLED
    reply: ChatReply | None = None
    first_token_s: float | None = None


@asynccontextmanager
async def attempted(
    means: Means, ledger: Ledger, asked: Asked, candidate: Candidate, request: ChatRequest, *, timeout_s: float
) -> AsyncGenerator[Attempt]:
    """The block makes the call, in at most `timeout_s` seconds, and says in the attempt what came of it.

    Raises:
        CallFailed: the model is left alone for its failures, a limit has no room, or the model's price is malformed.
        ProviderError: what the block raises.
    """
    spec = candidate.spec
    ledger.model = spec.name
    estimated = _estimated(candidate, request)
    org_id = asked.caller.org_id
    entry = await means.guard.admitted(org_id, spec.name, timeout_s)
    try:
        admission = await _room(means, asked, candidate, estimated)
    except BaseException:
        await means.finishing.done(means.guard.ended(org_id, spec.name, entry, None))
        raise
    attempt = Attempt(means.clock.monotonic_s())
    trace(spec, asked.trace, asked.caller.run_id, asked.caller.step)
    try:
        yield attempt
    except ProviderError as error:
        attempt.outcome = error.kind
        raise
    finally:
        usage = _usage(candidate, estimated, attempt)
        took_s = means.clock.monotonic_s() - attempt.began_s
        ledger.tried.append(
            Tried(
                model=spec.name,
                provider=candidate.provider.name,
                outcome=attempt.outcome,
                usage=usage,
                first_token_s=attempt.first_token_s,
                latency_s=took_s,
                price_version=price_version(spec, local=candidate.provider.local),
                estimate=estimated,
            )
        )
        _settle(asked, estimated, usage.cost)
        if asked.purse is not None:
            asked.purse.observe(Noted(spec.name, candidate.provider.name, attempt.outcome, usage, took_s))
        first_s = took_s if attempt.first_token_s is None else attempt.first_token_s
        outcome = Outcome(attempt.outcome, first_s, begun=attempt.first_token_s is not None)

        async def over() -> None:
            try:
                await means.guard.ended(org_id, spec.name, entry, outcome)
            finally:
                if admission is not None:
                    await admission.settle(usage)

        if means.guard.went_well(org_id, spec.name, entry, outcome):
            # Nothing of it waits, so that no cancellation can come between.
            if admission is not None:
                await admission.settle(usage)
        else:
            await means.finishing.done(over())


def _estimated(candidate: Candidate, request: ChatRequest) -> Estimate:
    try:
        return estimate(candidate.spec, candidate.provider, request)
    except ProviderError as error:
        raise CallFailed(Failure(candidate.spec.name, error.kind, error.detail)) from None


async def _room(means: Means, asked: Asked, candidate: Candidate, estimated: Estimate) -> Admission | None:
    """Room in the run's budget and in the project's limits, or in none of them."""
    _reserve(asked, candidate, estimated)
    try:
        return await _admitted(means, asked, candidate, estimated)
    except BaseException:
        _settle(asked, estimated, Cost())
        raise


def _reserve(asked: Asked, candidate: Candidate, estimated: Estimate) -> None:
    """Set aside what the call may cost of what its run may still spend.

    Raises:
        CallFailed: the run has not so much left, or nobody knows how much it may be.
    """
    budget = None if asked.purse is None else asked.purse.budget
    if budget is not None and (estimated.cost is None or not budget.reserve(estimated.cost)):
        raise CallFailed(run_lacks(candidate.spec, budget)(estimated.cost))


def _settle(asked: Asked, estimated: Estimate, actual: Cost) -> None:
    if asked.purse is not None and asked.purse.budget is not None:
        asked.purse.budget.settle(estimated.cost or Cost(), actual)


async def _admitted(means: Means, asked: Asked, candidate: Candidate, estimated: Estimate) -> Admission | None:
    if means.limits is None:
        return None
    try:
        return await means.limits.admit(asked, candidate.spec, estimated)
    except LimitReached as reached:
        failure = Failure(
            candidate.spec.name, reached.kind, reached.detail, reached.retry_after_s, at_limit=reached.at_limit
        )
        raise CallFailed(failure) from None


def _usage(candidate: Candidate, estimated: Estimate, attempt: Attempt) -> Usage:
    if attempt.reply is not None:
        return usage_of(candidate.spec, candidate.provider, estimated, attempt.reply)
    if attempt.outcome in ("timeout", CANCELLED):
        return unanswered(candidate.provider, estimated.input_tokens, estimated.cost)
    return Usage(model_calls=1)
