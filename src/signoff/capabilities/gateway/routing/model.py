"""What routing gives: candidates in order, and what became of every model of the route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from signoff.capabilities.gateway.asking import Considered
from signoff.capabilities.gateway.calls import Failure
from signoff.capabilities.gateway.model import ObligationLike
from signoff.capabilities.gateway.provider import Provider
from signoff.catalog.models import ModelSpec


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may answer.

    Attributes:
        spec: as `models.yaml` has it.
        provider: who answers for it.
        obligations: what must be done for policy's permit to hold.
    """

    spec: ModelSpec
    provider: Provider
    obligations: Sequence[ObligationLike]


@dataclass(frozen=True, slots=True)
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
