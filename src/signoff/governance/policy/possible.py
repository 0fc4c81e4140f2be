"""Whether policies could ever permit something, whatever the request says: for checks before anything runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, cast

import orjson

from signoff.governance.policy.engine import PolicySet
from signoff.governance.policy.model import PolicyRequest
from signoff.governance.policy.parsing import ParsedPolicy
from signoff.governance.policy.reading import attributes_read


class PossiblePermits:
    """The scopes of a project's policies. Conditions are not evaluated: they may hold."""

    def __init__(self, policies: PolicySet) -> None:
        self._policies = policies.parsed
        self._known: dict[tuple[str, str, str], str | None] = {}

    def forbidden_by(self, action: str, kind: str, name: str) -> str | None:
        """Why nobody can ever do that: the id of a policy that always forbids it, or empty where none permits it.

        None where some policy may permit it.
        """
        asked = (action, kind, name)
        if asked not in self._known:
            self._known[asked] = self._forbidden_by(action, kind, name)
        return self._known[asked]

    def _forbidden_by(self, action: str, kind: str, name: str) -> str | None:
        matching = [policy for policy in self._policies if _matches(policy, action, kind, name)]
        for policy in matching:
            if policy.effect == "forbid" and not policy.body["conditions"] and policy.body["principal"]["op"] == "All":
                return policy.id
        return None if any(policy.effect == "permit" for policy in matching) else ""


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
