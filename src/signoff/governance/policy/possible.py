"""Whether policies could ever permit something, whatever the request says: for checks before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from signoff.governance.policy.engine import PolicySet
from signoff.governance.policy.parsing import ParsedPolicy


class PossiblePermits:
    """The scopes of a project's policies. Conditions are not evaluated: they may hold."""

    def __init__(self, policies: PolicySet) -> None:
        self._policies = policies.parsed

    def forbidden_by(self, action: str, kind: str, name: str) -> str | None:
        """Why nobody can ever do that: the id of a policy that always forbids it, or empty where none permits it.

        None where some policy may permit it.
        """
        matching = [policy for policy in self._policies if _matches(policy, action, kind, name)]
        for policy in matching:
            if policy.effect == "forbid" and not policy.body["conditions"] and policy.body["principal"]["op"] == "All":
                return policy.id
        return None if any(policy.effect == "permit" for policy in matching) else ""


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
