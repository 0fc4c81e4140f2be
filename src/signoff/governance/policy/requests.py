"""The requests that steps and the API make, each built by one function: its context keys are a contract with policies.

`docs/reference/policy.md` lists them. A key is always there for its action, so that a policy may read it without `has`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from signoff.core.actors import Actor
from signoff.core.labels import BOTTOM, DataClass, Labels
from signoff.governance.policy.model import PolicyRequest, ResourceRef
from signoff.governance.policy.values import cedar_member
from signoff.runtime.handlers import Approval, RunFacts

KNOWN_PARTS = 1_024
"""How many parts of contexts are kept to be used again: a worker asks about the same workflows and labels all day."""

RISK_LEVELS = {"low": 0, "medium": 1, "high": 2}
"""`context.risk_level` by risk."""


def tool_request(
    run: RunFacts,
    *,
    tool: str,
    effect: str,
    arguments: Mapping[str, Any],
    labels: Labels,
    argument_labels: Mapping[str, Labels] | None = None,
    approvals: Sequence[Approval] = (),
    environment: str = "dev",
) -> PolicyRequest:
    """May this run call that tool, whose contract says effect `none` or `write`, with these final arguments?

    `arguments` are as they will be sent: money is an integer of its small unit; floats are left out and listed.
    `labels` are the join of everything the step read, control included; `argument_labels` say more of single
    arguments. `approvals` are the decided reviews that the step requires.
    """
    seen, skipped = cedar_member(arguments)
    own = argument_labels or {}
    context = {
        **_run_context(run, environment),
        **_label_context(labels),
        "effect": effect,
        "arguments": seen,
        "argument_trust": {name: int(own.get(name, labels).trust) for name in arguments},
        "argument_class": {name: int(own.get(name, labels).data_class) for name in arguments},
        "skipped": [f"/arguments{pointer}" for pointer in skipped],
        "approvals": sorted({approval.step for approval in approvals}) if approvals else [],
        "approved_by": sorted({approval.decided_by for approval in approvals}) if approvals else [],
    }
    return PolicyRequest(run.started_by, "tool.call", ResourceRef("Tool", tool, {"effect": effect}), context)


def model_request(
    run: RunFacts,
    *,
    model: str,
    provider: str,
    task: str,
    prompt: str,
    prompt_version: str,
    labels: Labels,
    local: bool,
    region: str = "",
    injection: int = 0,
    environment: str = "dev",
) -> PolicyRequest:
    """May this run send data with these labels to that model?

    `local` says that the model runs inside this deployment, so that nothing leaves it; `region` where it runs, as
    `models.yaml` says, empty where that does not; `injection` how much its untrusted texts look like one, 0 to 100.
    """
    context = {
        **_run_context(run, environment),
        **_label_context(labels),
        "task": task,
        "prompt": prompt,
        "prompt_version": prompt_version,
        "provider": provider,
        "local": local,
        "region": region,
        "injection": injection,
    }
    resource = ResourceRef("Model", model, {"provider": provider, "local": local, "region": region})
    return PolicyRequest(run.started_by, "model.call", resource, context)


def retrieve_request(run: RunFacts, *, index: str, labels: Labels, environment: str = "dev") -> PolicyRequest:
    """May this run search that index with a query of these labels?"""
    context = {**_run_context(run, environment), **_label_context(labels)}
    return PolicyRequest(run.started_by, "retrieve", ResourceRef("Index", index), context)


def emit_request(run: RunFacts, *, event_type: str, labels: Labels, environment: str = "dev") -> PolicyRequest:
    """May this run publish an event of that type with a payload of these labels?"""
    context = {**_run_context(run, environment), **_label_context(labels)}
    return PolicyRequest(run.started_by, "event.emit", ResourceRef("Event", event_type), context)


def send_event_request(actor: Actor, *, event_type: str, source: str, environment: str = "dev") -> PolicyRequest:
    """May this actor send an event of that type, from that source as it says, to runs that wait for it?"""
    context = {"environment": environment, "source": source}
    return PolicyRequest(actor, "event.send", ResourceRef("Event", event_type), context)


def breaker_request(actor: Actor, *, target: str, environment: str = "dev") -> PolicyRequest:
    """May this actor see how the circuit breaker of that tool or model stands?"""
    return PolicyRequest(actor, "breaker.read", ResourceRef("Breaker", target), {"environment": environment})


def start_request(
    actor: Actor,
    *,
    workflow: str,
    version: str,
    risk: str,
    labels: Labels = BOTTOM,
    environment: str = "dev",
    start: Mapping[str, Any] | None = None,
) -> PolicyRequest:
    """May this actor start a run of that workflow, with that priority, for that team, in that queue (`start`)?"""
    context = {
        **_workflow_context(workflow, version, risk, environment),
        **_label_context(labels),
        "priority": 5,
        "team": "",
        "queue": "",
        **(start or {}),
    }
    return PolicyRequest(actor, "run.start", ResourceRef("Workflow", workflow), context)


def schedule_request(
    actor: Actor,
    action: str,
    *,
    project: str,
    schedule: str,
    workflow: str,
    operation: str = "",
    environment: str = "dev",
) -> PolicyRequest:
    """May this actor do that (`schedule.read`, `schedule.operate`) to that schedule?

    `operation` is pause, resume, trigger or backfill; empty to read.
    """
    context = {"environment": environment, "workflow": workflow, "operation": operation}
    return PolicyRequest(
        actor, action, ResourceRef("Schedule", f"{project}/{schedule}", {"workflow": workflow}), context
    )


def queue_request(
    actor: Actor, action: str, *, project: str, queue: str, operation: str = "", environment: str = "dev"
) -> PolicyRequest:
    """May this actor do that (`queue.read`, `queue.operate`) to that queue?

    `operation` is pause or resume; empty to read.
    """
    context = {"environment": environment, "operation": operation}
    return PolicyRequest(actor, action, ResourceRef("Queue", f"{project}/{queue}"), context)


def release_request(
    actor: Actor,
    action: str,
    *,
    project: str,
    release: str = "",
    environment: str = "dev",
    facts: Mapping[str, Any] | None = None,
) -> PolicyRequest:
    """May this actor do that (`release.read`, `.register`, `.promote`, …) to releases of that project?

    `environment` is where it would be promoted to, or the server's own. `facts` say more, see `ReleaseFacts`.
    """
    context = {"environment": environment, "project": project, "actor": str(actor), **(facts or {})}
    return PolicyRequest(actor, action, ResourceRef("Release", release or project, {"project": project}), context)


def prompt_request(
    actor: Actor,
    action: str,
    *,
    project: str,
    prompt: str,
    version: str = "",
    owners: Sequence[str] = (),
    data_class: DataClass = DataClass.INTERNAL,
    environment: str = "dev",
    facts: Mapping[str, Any] | None = None,
) -> PolicyRequest:
    """May this actor do that (`prompt.read`, `.change`, `.score`, `.label`) to that prompt of the project?

    `owners` are those that the released version before names, or its own where it is the first; `facts` say what a
    change brings.
    """
    context = {
        "environment": environment,
        "project": project,
        "version": version,
        **_owner_context(actor, owners),
        "data_class": int(data_class),
        "data_class_name": data_class.name.lower(),
        "actor": str(actor),
        **(facts or {}),
    }
    return PolicyRequest(actor, action, ResourceRef("Prompt", f"{project}/{prompt}", {"project": project}), context)


def workflow_change_request(
    actor: Actor,
    *,
    project: str,
    workflow: str,
    version: str,
    risk: str,
    owners: Sequence[str] = (),
    environment: str = "dev",
    facts: Mapping[str, Any] | None = None,
) -> PolicyRequest:
    """May this actor release a change of that workflow (`workflow.change`)?

    `owners` are those that the version before names, or its own where it is the first; `risk` is the higher of both.
    `facts` say what the change brings.
    """
    context = {
        **_workflow_context(workflow, version, risk, environment),
        "project": project,
        **_owner_context(actor, owners),
        "actor": str(actor),
        **(facts or {}),
    }
    return PolicyRequest(actor, "workflow.change", ResourceRef("Workflow", workflow), context)


def outcome_request(actor: Actor, *, project: str, workflow: str, environment: str = "dev") -> PolicyRequest:
    """May this actor see how often that workflow's runs came to what (`outcome.read`)?"""
    context = {"environment": environment, "project": project, "actor": str(actor)}
    return PolicyRequest(actor, "outcome.read", ResourceRef("Workflow", workflow), context)


def call_request(
    actor: Actor, *, model: str, project: str, team: str, workflow: str, asked_by: str, environment: str = "dev"
) -> PolicyRequest:
    """May this actor see what is kept of a call to a model (`call.read`)? It holds no content.

    `asked_by` is on whose behalf it was made, as `kind/id`; `own_call` says that it was the actor.
    """
    context = {
        "environment": environment,
        "project": project,
        "team": team,
        "workflow": workflow,
        "asked_by": asked_by,
        "own_call": asked_by == str(actor),
    }
    return PolicyRequest(actor, "call.read", ResourceRef("Model", model), context)


def cost_request(actor: Actor, *, project: str, environment: str = "dev") -> PolicyRequest:
    """May this actor see what a project's calls to models cost (`cost.read`)?"""
    return PolicyRequest(actor, "cost.read", ResourceRef("Project", project), {"environment": environment})


def review_request(
    actor: Actor,
    *,
    workflow: str,
    version: str,
    risk: str,
    step: str,
    result: str,
    assigned_roles: Iterable[str],
    edited: Iterable[str] = (),
    started_by: str,
    environment: str = "dev",
) -> PolicyRequest:
    """May this actor decide that review in this way (`result`: approved or rejected)?

    `assigned_roles` are the roles that may decide it, without `role/`; `edited` names the fields whose values the actor
    changed; `started_by` is who started the run, as `kind/id`, for four-eyes policies.
    """
    context = {
        **_workflow_context(workflow, version, risk, environment),
        "step": step,
        "decision": result,
        "assigned_roles": sorted(set(assigned_roles)),
        "edited": sorted(set(edited)),
        "started_by": started_by,
        "actor": str(actor),
    }
    resource = ResourceRef("Review", f"{workflow}/{step}", {"workflow": workflow, "step": step})
    return PolicyRequest(actor, "review.decide", resource, context)


def run_request(
    actor: Actor,
    action: str,
    *,
    run_id: str,
    workflow: str,
    version: str,
    risk: str,
    started_by: str,
    signal: tuple[str, str] | None = None,
    step: str | None = None,
    environment: str = "dev",
) -> PolicyRequest:
    """May this actor do that (`run.read`, `run.cancel`, `run.signal`, …) to that run?

    `started_by` is who started the run, as `kind/id`; `own_run` says that it was the actor. `signal` is the step
    and the kind of what is sent, for `run.signal`; `step` the step of `run.skip`.
    """
    context = {
        **_workflow_context(workflow, version, risk, environment),
        "started_by": started_by,
        "actor": str(actor),
        "own_run": started_by == str(actor),
    }
    if signal is not None:
        context |= {"step": signal[0], "kind": signal[1]}
    if step is not None:
        context |= {"step": step}
    return PolicyRequest(actor, action, ResourceRef("Run", run_id, {"workflow": workflow}), context)


def artifact_request(run: PolicyRequest, *, digest: str, data_class: int, media_type: str) -> PolicyRequest:
    """May this actor read that artifact of a run? Asked like `run_request`, of the artifact and with its class."""
    told = {
        "run": run.resource.id,
        "data_class": data_class,
        "data_class_name": DataClass(data_class).name.lower(),
        "media_type": media_type,
    }
    resource = ResourceRef("Artifact", digest, run.resource.attributes)
    return PolicyRequest(run.principal, "artifact.read", resource, {**run.context, **told})


def review_read_request(
    actor: Actor,
    *,
    workflow: str,
    version: str,
    risk: str,
    step: str,
    assigned_roles: Iterable[str],
    started_by: str,
    environment: str = "dev",
) -> PolicyRequest:
    """May this actor read what that review shows? The resource is that of `review_request`."""
    context = {
        **_workflow_context(workflow, version, risk, environment),
        "step": step,
        "assigned_roles": sorted(set(assigned_roles)),
        "started_by": started_by,
        "actor": str(actor),
        "own_run": started_by == str(actor),
    }
    resource = ResourceRef("Review", f"{workflow}/{step}", {"workflow": workflow, "step": step})
    return PolicyRequest(actor, "review.read", resource, context)


def _owner_context(actor: Actor, owners: Sequence[str]) -> dict[str, Any]:
    names = {str(actor), *(f"role/{role}" for role in actor.roles)}
    return {"owners": sorted(set(owners)), "owned": bool(owners), "is_owner": not names.isdisjoint(owners)}


def _run_context(run: RunFacts, environment: str) -> dict[str, Any]:
    return {
        **_workflow_context(run.workflow, run.version, run.risk, environment),
        "started_by": str(run.started_by),
    }


@lru_cache(maxsize=KNOWN_PARTS)
def _workflow_context(workflow: str, version: str, risk: str, environment: str) -> Mapping[str, Any]:
    return {
        "workflow": workflow,
        "workflow_version": version,
        "risk": risk,
        "risk_level": RISK_LEVELS[risk],
        "environment": environment,
    }


@lru_cache(maxsize=KNOWN_PARTS)
def _label_context(labels: Labels) -> Mapping[str, Any]:
    return {
        "data_class": int(labels.data_class),
        "data_class_name": labels.data_class.name.lower(),
        "trust": int(labels.trust),
        "trust_name": labels.trust.name.lower(),
        "residency": sorted(labels.residency),
    }
