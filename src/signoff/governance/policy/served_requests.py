"""The requests of the served gateway: programs that call models directly, without a workflow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from signoff.core.actors import Actor
from signoff.core.labels import Labels
from signoff.governance.policy.model import PolicyRequest, ResourceRef
from signoff.workflows.model import Risk

KNOWN_CALLERS = 1_024
"""How many callers' parts of contexts are kept: a program asks with the same key and labels all day."""

_RISKS = {"low": 0, "medium": 1, "high": 2}


def gateway_request(
    actor: Actor, *, model: str, task: str, labels: Labels, risk: Risk, team: str = "", environment: str = "dev"
) -> PolicyRequest:
    """May this actor use the gateway directly, for that model or route, with data of these labels?

    `team` is whose limits the call counts in; empty for none.
    It is asked beside `model.call`: policies that let workflows call models let no program past the workflows.
    """
    context = {**_caller_context(actor, labels, risk, environment), "task": task, "team": team}
    return PolicyRequest(actor, "gateway.use", ResourceRef("Model", model), context)


def team_request(
    actor: Actor, *, team: str, task: str, labels: Labels, risk: Risk, environment: str = "dev"
) -> PolicyRequest:
    """May this actor's call count for a team that its key is not of?

    An action of its own, so that the policies that let programs use models let nobody round a team's limits.
    """
    context = {**_caller_context(actor, labels, risk, environment), "task": task, "team": actor.team}
    return PolicyRequest(actor, "gateway.team", ResourceRef("Team", team), context)


def direct_model_request(
    actor: Actor,
    *,
    model: str,
    provider: str,
    task: str,
    labels: Labels,
    local: bool,
    risk: Risk,
    region: str = "",
    injection: int = 0,
    environment: str = "dev",
) -> PolicyRequest:
    """May a program's own call send data with these labels to that model?

    It has every key that `model_request` has; those of a workflow and a prompt are empty.
    """
    context = {
        **_caller_context(actor, labels, risk, environment),
        "task": task,
        "prompt": "",
        "prompt_version": "",
        "provider": provider,
        "local": local,
        "region": region,
        "injection": injection,
    }
    resource = ResourceRef("Model", model, {"provider": provider, "local": local, "region": region})
    return PolicyRequest(actor, "model.call", resource, context)


@lru_cache(maxsize=KNOWN_CALLERS)
def _caller_context(actor: Actor, labels: Labels, risk: Risk, environment: str) -> Mapping[str, Any]:
    return {
        "workflow": "",
        "workflow_version": "",
        "risk": risk,
        "risk_level": _RISKS[risk],
        "environment": environment,
        "started_by": str(actor),
        "data_class": int(labels.data_class),
        "data_class_name": labels.data_class.name.lower(),
        "trust": int(labels.trust),
        "trust_name": labels.trust.name.lower(),
        "residency": sorted(labels.residency),
    }
