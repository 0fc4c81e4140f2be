"""Whether policies could ever permit something, whatever the request says: for checks before anything runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

import orjson

from signoff.core.actors import ActorKind
from signoff.core.values import value
from signoff.governance.policy.engine import PolicySet
from signoff.governance.policy.model import PRINCIPAL_KINDS, PolicyRequest
from signoff.governance.policy.parsing import ParsedPolicy
from signoff.governance.policy.partial import Entity, Facts, satisfied
from signoff.governance.policy.reading import attributes_read


@value
class Never:
    """Why something is never permitted.

    Attributes:
        policies: the ids of what stands against it: one that always forbids it, or all that would permit it.
        effect: of those; they are none where nothing is about it at all.
        reads: what of the context their conditions read; empty where they have none.
    """

    policies: tuple[str, ...] = ()
    effect: Literal["permit", "forbid"] = "permit"
    reads: tuple[str, ...] = ()


class PossiblePermits:
    """Whether a project's policies could permit something, by what is known of it before anything runs.

    Conditions are evaluated as far as that goes; whatever is open in them may hold. Who starts the run is open.

    Attributes:
        named: the actors that any policy names, by kind and id.
    """

    def __init__(self, policies: PolicySet) -> None:
        self._policies = policies.parsed
        self.named = frozenset(one for policy in policies.parsed for one in _principals(policy.body))
        self._matching: dict[tuple[str, Entity], tuple[ParsedPolicy, ...]] = {}

    def never(self, facts: Sequence[Facts]) -> Never | None:
        """Why nobody can ever do that in any of these cases; none where some policy may permit it in one."""
        found: Never | None = None
        for one in facts:
            found = self._never(one)
            if found is None:
                return None
        return found

    def _never(self, facts: Facts) -> Never | None:
        about = facts.action, facts.resource
        if about not in self._matching:
            self._matching[about] = tuple(one for one in self._policies if _matches(one, facts.action, *facts.resource))
        matching = self._matching[about]
        for policy in matching:
            of_all = policy.effect == "forbid" and policy.body["principal"]["op"] == "All"
            if of_all and satisfied(policy.body["conditions"], facts) is True:
                return _reason((policy,))
        permits = tuple(policy for policy in matching if policy.effect == "permit")
        if any(satisfied(policy.body["conditions"], facts) is not False for policy in permits):
            return None
        return _reason(permits) if permits else Never()


def _principals(node: Any) -> Iterator[tuple[ActorKind, str]]:
    """The actors that a policy names anywhere: as entities, or as `context.started_by` has them."""
    if isinstance(node, str):
        kind, slash, name = node.partition("/")
        if slash and kind in PRINCIPAL_KINDS and name:
            yield cast("ActorKind", kind), name
    elif isinstance(node, list):
        for item in cast("list[Any]", node):
            yield from _principals(item)
    elif isinstance(node, dict):
        members = cast("dict[str, Any]", node)
        kind = _KINDS.get(members.get("type", "")) if members.keys() == {"type", "id"} else None
        if kind is not None:
            yield kind, str(members["id"])
        for item in members.values():
            yield from _principals(item)


_KINDS: Mapping[str, ActorKind] = {entity: cast("ActorKind", kind) for kind, entity in PRINCIPAL_KINDS.items()}


def _reason(policies: Sequence[ParsedPolicy]) -> Never:
    read = [attributes_read([policy.body], "context") for policy in policies]
    names = sorted({name for one in read for name in one or ()})
    effect: Literal["permit", "forbid"] = "forbid" if policies[0].effect == "forbid" else "permit"
    return Never(tuple(policy.id for policy in policies), effect, tuple(names))


class Permits:
    """Whether policies permit requests, asked once for all those that the policies cannot tell apart.

    A check asks about every step of every workflow, and few policies read which workflow it is.
    """

    def __init__(self, policies: PolicySet) -> None:
        self._set = policies
        self._known: dict[Hashable, bool] = {}
        self._scopes: dict[tuple[str, str, str], tuple[ParsedPolicy, ...]] = {}
        self._read: dict[tuple[str, ...], tuple[frozenset[str] | None, bool]] = {}

    def permit(self, request: PolicyRequest) -> bool:
        """The set's own decision on this request, or on one that its policies cannot tell from it."""
        key = self._told_apart(request)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._set.decide(request).permit
        return known

    def _told_apart(self, request: PolicyRequest) -> Hashable:
        """Everything of a request that the policies whose scope it is in depend on."""
        resource, principal = request.resource, request.principal
        scope = (request.action, resource.kind, resource.id)
        if scope not in self._scopes:
            self._scopes[scope] = tuple(one for one in self._set.parsed if _matches(one, *scope))
        matching = self._scopes[scope]
        ids = tuple(policy.id for policy in matching)
        if ids not in self._read:
            bodies = [policy.body for policy in matching]
            about_resource = attributes_read(bodies, "resource") != frozenset()
            self._read[ids] = (attributes_read(bodies, "context"), about_resource)
        names, about_resource = self._read[ids]
        context = request.context
        seen = context if names is None else {name: context[name] for name in sorted(names & context.keys())}
        one = [resource.id, resource.attributes] if about_resource else []
        whole = orjson.dumps([seen, one], option=orjson.OPT_SORT_KEYS)
        return request.action, resource.kind, principal.kind, principal.id, principal.roles, ids, whole


def _matches(policy: ParsedPolicy, action: str, kind: str, name: str) -> bool:
    return _covers(policy.body["action"], "Action", action) and _covers(policy.body["resource"], kind, name)


def _covers(scope: Mapping[str, Any], kind: str, name: str) -> bool:
    match scope["op"]:
        case "All":
            return True
        case "==" | "in":
            named = scope["entities"] if "entities" in scope else [scope["entity"]]
            # Resources have no parents, so `in` says the same as `==`.
            return any(_uid(one) == (kind, name) for one in cast("Iterable[Mapping[str, Any]]", named))
        case "is":
            inside = scope.get("in")
            return scope["entity_type"] == kind and (inside is None or _uid(inside["entity"]) == (kind, name))
        case _:
            return True


def _uid(entity: Mapping[str, Any]) -> tuple[str, str]:
    found = cast("Mapping[str, Any]", entity.get("__entity", entity))
    return str(found["type"]), str(found["id"])
