"""The policy set of one release: prepared once, then asked millions of times.

Cedar skips a policy whose evaluation errs, which would let a broken `forbid` pass. Here any diagnostic is a deny.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self, cast

import cedarpy
import orjson

from signoff.core.errors import Problem, did_you_mean
from signoff.core.ids import digest
from signoff.governance.policy.model import (
    ACTIONS,
    OBLIGATIONS,
    PRINCIPAL_KINDS,
    RESOURCE_KINDS,
    Decision,
    Obligation,
    PolicyRequest,
)
from signoff.governance.policy.parsing import ParsedPolicy, parse_policies
from signoff.governance.policy.reading import arguments_read
from signoff.governance.policy.tool_questions import ToolQuestion
from signoff.governance.policy.values import SeenRecord, cedar_record

CACHED_DECISIONS = 4_096
"""Decisions that one policy set remembers, the most recently used ones; about 2 KB each."""
KEY_BYTES = 2_048
"""Longer questions are remembered by their digest."""
MAX_REQUEST_BYTES = 65_536
"""Size of one question as JSON; a larger one is denied without being asked."""

_is_authorized = cast("Callable[[dict[str, Any], cedarpy.PolicySet, str], cedarpy.AuthzResult]", cedarpy.is_authorized)  # pyright: ignore[reportUnknownMemberType]  (cedarpy's own signature has bare dicts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Cedar's own answer, before our rules for errors and obligations."""

    allow: bool
    reasons: tuple[str, ...]
    errors: tuple[str, ...]


class Engine:
    """Cedar with its policies prepared under ids of our choice.

    Attributes:
        read: the names of the arguments that its policies read; none where one reads them as a whole.
    """

    def __init__(self, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        document: dict[str, Any] = {"templates": {}, "templateLinks": [], "staticPolicies": dict(bodies)}
        self._prepared = cedarpy.PolicySet.from_json_str(json.dumps(document))
        self.read = arguments_read(bodies.values())

    def evaluate(self, request: Mapping[str, Any], entities: str) -> Verdict:
        """Cedar's verdict on a request in cedarpy's form, with the entities as JSON text."""
        result = _is_authorized(dict(request), self._prepared, entities)
        return Verdict(
            allow=result.decision is cedarpy.Decision.Allow,
            reasons=tuple(sorted(result.diagnostics.reasons)),
            errors=tuple(sorted(result.diagnostics.errors)),
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """A remembered decision, and the size of its question without the arguments that no policy reads, or with them."""

    decision: Decision
    rest_bytes: int


class PolicySet:
    """All policies of a project. Decides, default deny, and remembers decisions by their inputs.

    Attributes:
        digest: SHA-256 of the policy files, hexadecimal: decisions name it.
    """

    def __init__(self, policies: tuple[ParsedPolicy, ...], digest_: str) -> None:
        self.digest = digest_
        self._policies = {policy.id: policy for policy in policies}
        self._engines: dict[str, Engine] = {}
        self._known: OrderedDict[bytes | tuple[Any, ...], _Known] = OrderedDict()

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> Self:
        """The policy set of some Cedar files, given by path.

        Raises:
            DefinitionError: with every problem found, each with file, line and column.
        """
        framed = json.dumps(sorted(texts.items()), ensure_ascii=True, separators=(",", ":"))
        return cls(parse_policies(texts), digest(framed.encode()))

    @property
    def parsed(self) -> tuple[ParsedPolicy, ...]:
        """All policies as parsed, in the order of files and text."""
        return tuple(self._policies.values())

    def warnings(self) -> tuple[Problem, ...]:
        """What is not wrong but will deny: no policy at all, permits with an obligation that nobody knows.

        For `signoff check`.
        """
        if not self._policies:
            detail = "There are no policies, so nothing is permitted: no run can even be started."
            return (Problem(detail, suggestion="Add policies/*.cedar with a permit for run.start.", code="policy"),)
        return tuple(
            policy.source.problem(
                f"Nobody knows the obligation @{name}, so whatever '{policy.id}' permits is denied.",
                offset=max(policy.source.find(name) - 1, 0),
                code="policy-obligation",
                suggestion=did_you_mean(name, sorted(OBLIGATIONS | {"about"})) or "Remove it.",
            )
            for policy in self._policies.values()
            for name in policy.annotations
            if name not in OBLIGATIONS
        )

    def decide(self, request: PolicyRequest) -> Decision:
        """The decision on one request: permit only where a policy permits, none forbids and nothing went wrong.

        A fresh one costs some 100 us, a remembered one a few. Never raises for what a request holds.
        """
        if request.action not in ACTIONS:
            return self._deny(request, f"there is no action '{request.action}'")
        engine = self._engine_for(request.action)
        told = _told_apart(request, engine.read)
        if told is None:
            return self._decide(request, engine)[0]
        key, unread_bytes = told
        known = self._known.get(key)
        if known is not None and known.rest_bytes + unread_bytes <= MAX_REQUEST_BYTES:
            self._known.move_to_end(key)
            return known.decision
        decision, size_bytes = self._decide(request, engine)
        if size_bytes <= MAX_REQUEST_BYTES and not (decision.errors and unread_bytes):  # an error may tell of anything
            self._remember(key, _Known(decision, size_bytes - unread_bytes))
        return decision

    def decide_call(self, question: ToolQuestion) -> Decision:
        """The decision on `question.request()`, which is made only where the same was not asked before."""
        engine = self._engines.get("tool.call") or self._engine_for("tool.call")
        told = question.told_apart(engine.read)
        if told is None:
            return self.decide(question.request())
        key, unread_bytes = told
        known = self._known.get(key)
        if known is not None and known.rest_bytes + unread_bytes <= MAX_REQUEST_BYTES:
            self._known.move_to_end(key)
            return known.decision
        decision, size_bytes = self._decide(question.request(), engine)
        if not decision.errors:  # which tell of a size, or of anything that was read
            self._remember(key, _Known(decision, size_bytes))
        return decision

    def _remember(self, key: bytes | tuple[Any, ...], known: _Known) -> None:
        self._known[key] = known
        if len(self._known) > CACHED_DECISIONS:
            self._known.popitem(last=False)

    def _decide(self, request: PolicyRequest, engine: Engine) -> tuple[Decision, int]:
        """A fresh decision, and the size of its question in bytes."""
        if request.resource.kind not in RESOURCE_KINDS:
            return self._deny(request, f"there is no resource kind '{request.resource.kind}'"), 0
        context, skipped = cedar_record(request.context)
        attributes, lost = cedar_record(request.resource.attributes)
        listed = cast("list[str]", context.get("skipped", []))
        context["skipped"] = sorted({*listed, *skipped, *(f"/resource{pointer}" for pointer in lost)})
        question, entities = _question(request, context, attributes)
        try:
            size_bytes = len(orjson.dumps(question)) + len(entities)
        except (TypeError, ValueError):
            return self._deny(request, "the request is no plain Unicode data"), 0
        if size_bytes > MAX_REQUEST_BYTES:
            return self._deny(request, f"the request is larger than {MAX_REQUEST_BYTES} bytes"), size_bytes
        return self._answer(request, engine.evaluate(question, entities)), size_bytes

    def _engine_for(self, action: str) -> Engine:
        """Cedar with the policies whose scope this action can match: the others could neither decide nor err."""
        engine = self._engines.get(action)
        if engine is None:
            bodies = {policy.id: policy.body for policy in self._policies.values() if _concerns(policy.body, action)}
            engine = self._engines[action] = Engine(bodies)
        return engine

    def _answer(self, request: PolicyRequest, verdict: Verdict) -> Decision:
        errors = list(verdict.errors)
        obligations: list[Obligation] = []
        if verdict.allow:
            for policy_id in verdict.reasons:
                for name, value in self._policies[policy_id].annotations.items():
                    if name in OBLIGATIONS:
                        obligations.append(Obligation(name, value, policy_id))
                    else:
                        errors.append(f"policy '{policy_id}' carries the unknown obligation @{name}")
        permit = verdict.allow and not errors
        return Decision(
            permit=permit,
            policies=verdict.reasons,
            obligations=tuple(sorted(obligations)) if permit else (),
            policy_digest=self.digest,
            errors=tuple(errors),
            about=_about(request),
        )

    def _deny(self, request: PolicyRequest, error: str) -> Decision:
        return Decision(
            permit=False, policies=(), obligations=(), policy_digest=self.digest, errors=(error,), about=_about(request)
        )


def _told_apart(request: PolicyRequest, read: frozenset[str] | None) -> tuple[bytes, int] | None:
    """What a decision depends on, and the size of the arguments that no policy reads, which are not part of it.

    None where the request is no plain data, which is rare and not remembered.
    """
    principal, context = request.principal, request.context
    arguments = context.get("arguments")
    unread: dict[str, Any] = {}
    if read is not None and isinstance(arguments, SeenRecord):
        unread = {name: value for name, value in arguments.items() if name not in read} if read else arguments
        context = {**context, "arguments": {name: arguments[name] for name in arguments.keys() & read}}
    inputs = [
        [principal.kind, principal.id, sorted(principal.roles)],
        request.action,
        [request.resource.kind, request.resource.id, request.resource.attributes],
        context,
    ]
    try:
        key = orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)
        return key if len(key) <= KEY_BYTES else sha256(key).digest(), len(orjson.dumps(unread)) if unread else 0
    except (TypeError, ValueError):
        return None


def _question(
    request: PolicyRequest, context: dict[str, Any], attributes: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """The request and its entities in cedarpy's form."""
    principal = {"type": PRINCIPAL_KINDS[request.principal.kind], "id": request.principal.id}
    resource = {"type": request.resource.kind, "id": request.resource.id}
    roles = [{"type": "Role", "id": role} for role in sorted(request.principal.roles)]
    entities: list[dict[str, Any]] = [
        {"uid": principal, "attrs": {"id": request.principal.id}, "parents": roles},
        {"uid": resource, "attrs": {**attributes, "id": request.resource.id}, "parents": []},
    ]
    if principal == resource:  # a key that manages itself is one entity, not two
        entities = [{**entities[1], "parents": roles}]
    question: dict[str, Any] = {
        "principal": principal,
        "action": {"type": "Action", "id": request.action},
        "resource": resource,
        "context": context,
    }
    return question, json.dumps(entities)


def _concerns(body: Mapping[str, Any], action: str) -> bool:
    """Whether a policy's scope can match the action. Our actions have no groups, so `in` is a list of them."""
    scope = body["action"]
    if scope["op"] == "All":
        return True
    named = scope["entities"] if "entities" in scope else [scope["entity"]]
    return any(uid == {"type": "Action", "id": action} for uid in named)


def _about(request: PolicyRequest) -> str:
    return f"{request.action} on {request.resource} by {request.principal}"
