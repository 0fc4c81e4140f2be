"""What routing gives: candidates in order, and what became of every model of the route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from signoff.capabilities.gateway.asking import Considered
from signoff.capabilities.gateway.failures import Failure
from signoff.capabilities.gateway.model import ObligationLike
from signoff.capabilities.gateway.provider import Provider
from signoff.catalog.models import ModelSpec, Requires
from signoff.core.values import value


@value
class Needs:
    """What a request needs of whoever answers it.

    Attributes:
        requires: what a model must be able to do; its tokens are counted from below, as a model that might do is asked.
        input_tokens, output_tokens: what the call may come to, from above: for prices.
        tunings: what of `Tuning` is asked for.
        optional: whether a model that has no place for some of it is asked without.
    """

    requires: Requires = field(default_factory=Requires)
    input_tokens: int = 0
    output_tokens: int = 0
    tunings: frozenset[str] = frozenset()
    optional: bool = False


@value
class Candidate:
    """A model that may answer.

    Attributes:
        spec: as `models.yaml` has it.
        provider: who answers for it.
        obligations: what must be done for policy's permit to hold.
        context_tokens: how many tokens it reads; none where nobody knows.
        left_out: what of `Tuning` it is asked without.
    """

    spec: ModelSpec
    provider: Provider
    obligations: Sequence[ObligationLike]
    context_tokens: int | None = None
    left_out: frozenset[str] = frozenset()


@value
class Routed:
    """A route as it is for one request.

    Attributes:
        candidates: who may answer, best first.
        considered: every model of the route, candidates by rank first.
        failures: why the others may not.
    """

    candidates: tuple[Candidate, ...]
    considered: tuple[Considered, ...]
    failures: tuple[Failure, ...]
