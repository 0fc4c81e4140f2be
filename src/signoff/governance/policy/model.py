"""What is asked of policy and what it answers. Frozen, so that a cached decision is safe to share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from signoff.core.actors import Actor
from signoff.core.errors import ForbiddenError
from signoff.core.values import value

ResourceKind = Literal[
    "Tool",
    "Model",
    "Workflow",
    "Review",
    "Index",
    "Event",
    "Run",
    "Release",
    "Artifact",
    "Key",
    "Schedule",
    "Breaker",
    "Prompt",
    "Queue",
    "Project",
    "Team",
]

PRINCIPAL_KINDS = {"user": "User", "key": "Key", "system": "System"}
RESOURCE_KINDS: frozenset[str] = frozenset(
    (
        "Tool",
        "Model",
        "Workflow",
        "Review",
        "Index",
        "Event",
        "Run",
        "Release",
        "Artifact",
        "Key",
        "Schedule",
        "Queue",
        "Breaker",
        "Prompt",
        "Project",
        "Team",
    )
)
ENTITY_TYPES = RESOURCE_KINDS | frozenset(PRINCIPAL_KINDS.values()) | {"Role", "Action"}
ACTIONS = frozenset(
    (
        "run.start",
        "run.read",
        "run.cancel",
        "run.terminate",
        "run.pause",
        "run.retry",
        "run.skip",
        "run.prioritise",
        "run.migrate",
        "run.fork",
        "run.fork_live",
        "run.signal",
        "model.call",
        "gateway.use",
        "gateway.team",
        "tool.call",
        "retrieve",
        "event.emit",
        "event.send",
        "review.read",
        "review.decide",
        "release.read",
        "release.register",
        "release.promote",
        "release.delete",
        "release.override_quality",
        "workflow.change",
        "prompt.read",
        "prompt.change",
        "prompt.score",
        "prompt.label",
        "outcome.read",
        "call.read",
        "cost.read",
        "schedule.read",
        "schedule.operate",
        "queue.read",
        "queue.operate",
        "artifact.read",
        "breaker.read",
        "key.manage",
    )
)
OBLIGATIONS = frozenset(
    (
        "block",
        "contain",
        "filter",
        "mark",
        "max_tokens",
        "redact",
        "region",
        "retain",
        "reveal",
        "review",
        "stop",
        "tokenise",
        "tools",
        "vault",
    )
)
"""What a permit may oblige its caller to do. A permit with any other annotation permits nothing."""
FILTERS = frozenset(("links", "personal_data", "promises", "secrets", "toxicity"))
"""What `@filter("in: …; out: …")` may name."""


@value
class ResourceRef:
    """What is acted on: `ResourceRef("Tool", "payments.refund", {"effect": "write"})`.

    Attributes:
        kind: its Cedar entity type.
        id: its name, as documents write it.
        attributes: what policies read as `resource.NAME`.
    """

    kind: ResourceKind
    id: str
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return f'{self.kind}::"{self.id}"'


@value
class PolicyRequest:
    """One question: may this principal do this to that, in this context?

    Attributes:
        context: plain JSON data; `values.py` says what of it Cedar gets to see.
    """

    principal: Actor
    action: str
    resource: ResourceRef
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, order=True)
class Obligation:
    """What must be done for a permit to hold, from a policy's annotation: `@redact("pii")`.

    Attributes:
        kind: the annotation's name.
        value: its argument.
        policy: the id of the policy that demands it.
    """

    kind: str
    value: str
    policy: str

    def as_dict(self) -> dict[str, str]:
        """The obligation for JSON."""
        return {"kind": self.kind, "value": self.value, "policy": self.policy}


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, as it is journaled with what it decided.

    Attributes:
        permit: true only where a policy permits, none forbids, and nothing went wrong.
        policies: ids of the policies that decided; empty where nothing permitted (default deny).
        obligations: what the caller must do for the permit to hold, sorted.
        policy_digest: SHA-256 of the policy files, hexadecimal.
        errors: why an answer could not be trusted; any error makes it a deny.
        about: the question in words: `tool.call on Tool::"payments.refund" by key/ci`.
    """

    permit: bool
    policies: tuple[str, ...]
    obligations: tuple[Obligation, ...]
    policy_digest: str
    errors: tuple[str, ...] = ()
    about: str = ""
    _known: Mapping[str, Any] | None = field(default=None, init=False, repr=False, compare=False)
    _told: tuple[str, Mapping[str, Any]] | None = field(default=None, init=False, repr=False, compare=False)

    def told(self, action: str) -> Mapping[str, Any]:
        """The decision on that action for the journal; the same mapping each time."""
        told = self._told
        if told is None or told[0] != action:
            told = action, {"action": action, **self.as_dict()}
            object.__setattr__(self, "_told", told)
        return told[1]

    def as_dict(self) -> dict[str, Any]:
        """The decision for the journal."""
        known = self._known
        if known is None:
            known = {
                "permit": self.permit,
                "about": self.about,
                "policies": list(self.policies),
                "obligations": [obligation.as_dict() for obligation in self.obligations],
                "policy_digest": self.policy_digest,
                "errors": list(self.errors),
            }
            object.__setattr__(self, "_known", known)  # with the object: a remembered decision is journaled with each
        return {**known}

    def require(self, *, fulfils: Collection[str] = ()) -> None:
        """Return only where the action may go ahead.

        Args:
            fulfils: kinds of obligation that the caller carries out. A permit with another kind is a deny, because
                whoever cannot do what a permit demands must not act on it (XACML 3.0, section 7.2, deny-biased PEP).

        Raises:
            ForbiddenError: not permitted, or not on terms the caller can meet. Names the policies.
        """
        unmet = sorted({obligation.kind for obligation in self.obligations} - set(fulfils))
        if self.permit and not unmet:
            return
        raise ForbiddenError(
            self._reason(unmet),
            policies=list(self.policies),
            policy_digest=self.policy_digest,
            errors=list(self.errors),
        )

    def _reason(self, unmet: list[str]) -> str:
        if self.errors:
            return f"Denied: {self.about}. Policy could not be evaluated safely: {'; '.join(self.errors)}."
        if self.permit:
            wanted = ", ".join(f"@{kind}" for kind in unmet)
            return f"Denied: {self.about}. The permit ({', '.join(self.policies)}) demands {wanted}, not done here."
        if self.policies:
            return f"Denied: {self.about}. Forbidden by {', '.join(self.policies)}."
        return f"Denied: {self.about}. No policy permits it."
