"""Policy files into checked policies. Every problem is found, not only the first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import cedarpy
from cedarpy import pst

from signoff.core.durations import parse_duration_s
from signoff.core.errors import DefinitionError, Problem, did_you_mean
from signoff.governance.policy.bounds import BoundsError, max_tokens_of, stops_of, tools_of
from signoff.governance.policy.model import ACTIONS, ENTITY_TYPES, FILTERS, OBLIGATIONS
from signoff.governance.policy.source import PolicyText, limit_problem, split, syntax_problem
from signoff.governance.privacy.model import PersonalDataError, kinds_of

MAX_POLICIES = 1_000
"""Policies in one project; each decision looks at all of them."""
MAX_FILE_CHARACTERS = 1_000_000
"""Characters in one policy file."""

_PLAIN_ANNOTATIONS = frozenset(("id", "about"))
_BOUNDS: Mapping[str, Callable[[str], object]] = {"max_tokens": max_tokens_of, "stop": stops_of, "tools": tools_of}


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """One policy that parsed.

    Attributes:
        id: the value of its `@id`.
        effect: permit or forbid.
        annotations: the others, `about` left out: its obligations.
        body: Cedar's JSON form of it.
        source: where it stands.
    """

    id: str
    effect: str
    annotations: Mapping[str, str]
    body: Mapping[str, Any]
    source: PolicyText


def parse_policies(texts: Mapping[str, str]) -> tuple[ParsedPolicy, ...]:
    """The policies of all files, in the order of file names and then of the text.

    Raises:
        DefinitionError: with every problem: syntax, a missing or repeated `@id`, a template, an action or entity type
            that does not exist (such a `forbid` would never match), an obligation on a `forbid` or with a bad value.
    """
    return _parse_files(tuple(sorted(texts.items())))


# What loads a project asks for the same files three times, one after the other, and a policy takes milliseconds.
@lru_cache(maxsize=2)
def _parse_files(files: tuple[tuple[str, str], ...]) -> tuple[ParsedPolicy, ...]:
    problems: list[Problem] = []
    found: dict[str, ParsedPolicy] = {}
    count = 0
    for file, text in files:
        if len(text) > MAX_FILE_CHARACTERS:
            problems.append(
                Problem(f"The file has more than {MAX_FILE_CHARACTERS} characters.", file=file, code="limit")
            )
            continue
        for source in split(file, text):
            count += 1
            if count > MAX_POLICIES:
                break
            parsed = _parse(source, problems)
            if parsed is None:
                continue
            if parsed.id in found:
                first = found[parsed.id].source
                detail = f"The policy id '{parsed.id}' is taken: {first.file}, line {first.line}."
                problems.append(
                    source.problem(detail, code="policy-id", suggestion="Give each policy an id of its own.")
                )
            found.setdefault(parsed.id, parsed)
    if count > MAX_POLICIES:
        problems.append(Problem(f"There are more than {MAX_POLICIES} policies.", files[-1][0], code="limit"))
    if problems:
        raise DefinitionError("The policies have problems.", problems=problems)
    return tuple(found.values())


def _parse(source: PolicyText, problems: list[Problem]) -> ParsedPolicy | None:
    read = _read(source)
    if isinstance(read, Problem):
        problems.append(read)
        return None
    document, tree = read
    if document["templates"]:
        detail = "Templates (?principal, ?resource) are not used here."
        problems.append(source.problem(detail, code="policy-template", suggestion="Write the entity out."))
        return None
    body = cast("dict[str, Any]", document["staticPolicies"]["policy0"])
    annotations = {
        name: value or "" for name, value in cast("dict[str, str | None]", body.get("annotations", {})).items()
    }
    policy_id = annotations.get("id", "")
    if not policy_id:
        detail = "The policy has no id, so no decision could name it."
        problems.append(source.problem(detail, code="policy-id", suggestion='Write @id("some-name") before it.'))
        return None
    problems.extend(_unknown_names(source, tree))
    obligations = {name: value for name, value in annotations.items() if name not in _PLAIN_ANNOTATIONS}
    problems.extend(_bad_obligations(source, body["effect"], obligations))
    return ParsedPolicy(policy_id, body["effect"], obligations, body, source)


def _read(source: PolicyText) -> tuple[dict[str, Any], pst.PolicySet] | Problem:
    """Cedar's two forms of a policy: the one that it evaluates and the one with types."""
    limit = limit_problem(source)
    if limit is not None:
        return limit
    try:
        tree = cedarpy.policies_to_pst(source.text)
        return cast("dict[str, Any]", json.loads(cedarpy.policies_to_json_str(source.text))), tree
    except UnicodeEncodeError:
        return source.problem("The policy holds text that is no Unicode.", code="policy-syntax")
    except RecursionError:
        return source.problem("The policy is nested too deeply.", code="limit")
    except ValueError as error:
        return syntax_problem(source, error)


def _unknown_names(source: PolicyText, tree: pst.PolicySet) -> list[Problem]:
    """Actions and entity types that no request can have: a permit would be dead, a forbid silently open."""
    problems: list[Problem] = []
    for uid in sorted(pst.entity_uids(tree.static_policies), key=str):
        if _type_name(uid.type) == "Action" and uid.id not in ACTIONS:
            detail = f"There is no action '{uid.id}'."
            offset = source.find(json.dumps(uid.id, ensure_ascii=False))
            suggestion = did_you_mean(uid.id, sorted(ACTIONS))
            problems.append(source.problem(detail, offset=offset, code="policy-action", suggestion=suggestion))
    for name in sorted(_entity_types(tree)):
        if name not in ENTITY_TYPES:
            detail = f"There is no entity type '{name}'."
            suggestion = did_you_mean(name, sorted(ENTITY_TYPES))
            offset = source.find(name.rsplit("::", 1)[-1])
            problems.append(source.problem(detail, offset=offset, code="policy-entity-type", suggestion=suggestion))
    return problems


def _entity_types(tree: pst.PolicySet) -> set[str]:
    found: set[str] = set()
    stack: list[Any] = [tree.static_policies]
    while stack:
        node = stack.pop()
        if isinstance(node, pst.EntityType):
            found.add(_type_name(node))
        elif isinstance(node, Mapping):
            stack.extend(cast("Mapping[str, Any]", node).values())
        elif isinstance(node, tuple):
            stack.extend(cast("tuple[Any, ...]", node))
        elif hasattr(node, "__dataclass_fields__"):
            stack.extend(getattr(node, name) for name in node.__dataclass_fields__)
    return found


def _type_name(entity_type: pst.EntityType) -> str:
    return "::".join((*entity_type.namespace, entity_type.basename))


def _bad_obligations(source: PolicyText, effect: str, obligations: Mapping[str, str]) -> list[Problem]:
    """Obligations that could never be carried out. An unknown kind is no problem here: it denies when it decides."""
    problems: list[Problem] = []
    for name, value in obligations.items():
        if name not in OBLIGATIONS:
            continue
        offset = max(source.find(name) - 1, 0)
        if effect == "forbid":
            detail = f"@{name} is an obligation, which only a permit can carry."
            problems.append(source.problem(detail, offset=offset, code="policy-obligation", suggestion="Remove it."))
        elif not value:
            suggestion = f'Write @{name}("…").'
            problems.append(
                source.problem(f"@{name} says nothing.", offset=offset, code="policy-obligation", suggestion=suggestion)
            )
        elif name == "retain":
            try:
                parse_duration_s(value)
            except ValueError as error:
                problems.append(source.problem(f"@retain: {error}.", offset=offset, code="policy-obligation"))
        elif name in ("block", "redact", "tokenise", "vault"):
            try:
                kinds_of(value)
            except PersonalDataError as error:
                problems.append(source.problem(f"@{name}: {error}", offset=offset, code="policy-obligation"))
        elif name in _BOUNDS:
            try:
                _BOUNDS[name](value)
            except BoundsError as error:
                problems.append(source.problem(str(error), offset=offset, code="policy-obligation"))
        elif name == "filter" and (detail := _bad_filters(value)):
            problems.append(source.problem(detail, offset=offset, code="policy-obligation"))
    return problems


def _bad_filters(value: str) -> str:
    """What is wrong with the argument of `@filter`; empty where nothing is."""
    for part in filter(None, (text.strip() for text in value.split(";"))):
        side, colon, names = part.partition(":")
        listed = [name.strip() for name in names.split(",") if name.strip()]
        if not colon or side.strip() not in ("in", "out") or not listed:
            return '@filter is written as @filter("in: secrets; out: toxicity, links").'
        for name in listed:
            if name not in FILTERS:
                near = did_you_mean(name, sorted(FILTERS)) or f"There are: {', '.join(sorted(FILTERS))}."
                return f"@filter: there is no filter '{name}'. {near}"
    return ""
