"""Two projects side by side: every workflow, prompt, tool, model, policy and setting that is another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from signoff.catalog.delivery.model import Change, Kind
from signoff.catalog.delivery.other_files import other_files
from signoff.catalog.delivery.steps import workflow_details
from signoff.catalog.model import Project
from signoff.catalog.prompts import Prompt
from signoff.catalog.registry.compatibility import Side, compare_schemas, heaviest
from signoff.catalog.registry.prompt_changes import compare_prompts
from signoff.catalog.rules import Rule
from signoff.catalog.tools import ToolContract
from signoff.catalog.versions import parse_version
from signoff.governance.policy.parsing import ParsedPolicy, parse_policies
from signoff.workflows.model import Workflow

Item = TypeVar("Item")
Details = Callable[[Item, Item], tuple[str, tuple[str, ...]]]
"""From two items that differ: what the change demands of a version (or nothing), and what is different."""

USES_CHANGED = ("what it uses changed",)
"""Of a workflow whose own document is as it was."""

NOTHING = Project(name="")
"""What an environment has where nothing was deployed."""


def compare_projects(old: Project, new: Project) -> tuple[Change, ...]:
    """Everything that is another: what runs first, what it may next, then what is around it."""
    told = (
        *_named("workflow", old.workflows, new.workflows, _workflow, lambda item: item.version),
        *_named("prompt", _latest(old), _latest(new), _prompt, lambda item: item.version),
        *_other_versions(old, new),
        *_named("tool", old.tools, new.tools, _tool),
        *_named("schema", old.schemas, new.schemas, _schema),
        *_named("policy", _policies(old), _policies(new), _policy),
        *_named("model", old.models.models, new.models.models, _fields),
        *_named("route", _routes(old), _routes(new), _written),
        *_named("rule", old.rules, new.rules, _rule),
        *_named("knowledge", old.knowledge, new.knowledge, _sources),
        *_named("schedule", _dicts(old.schedules), _dicts(new.schedules), _members),
        *_named("queue", old.queues, new.queues, _fields),
        *_named("setting", old.settings, new.settings, _written),
        *_named("role", old.roles, new.roles, _written),
        *_named("environment", old.environments, new.environments, _fields),
        *_named("retention", {"runs": old.retention}, {"runs": new.retention}, _fields),
    )
    return (*told, *other_files(old, new, told))


def _named(
    kind: Kind,
    old: Mapping[str, Item],
    new: Mapping[str, Item],
    details: Details[Item],
    version: Callable[[Item], str] = lambda _: "",
) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield Change(kind, name, "added", after=version(new[name]))
        elif name not in new:
            yield Change(kind, name, "removed", before=version(old[name]))
        elif old[name] != new[name]:
            bump, found = details(old[name], new[name])
            if found:
                yield Change(kind, name, "changed", version(old[name]), version(new[name]), bump, found)


def _workflow(old: Workflow, new: Workflow) -> tuple[str, tuple[str, ...]]:
    changes = (
        *compare_schemas(old.input_schema, new.input_schema, "input"),
        *compare_schemas(old.output_schema, new.output_schema, "output"),
    )
    found = (*(f"{change.place} {change.detail}" for change in changes), *workflow_details(old, new))
    if not found and old.digest != new.digest:
        found = USES_CHANGED if _same_text(old, new) else ("its text changed",)
    return heaviest(changes) or "", found


def _same_text(old: Workflow, new: Workflow) -> bool:
    return old.version == new.version and old.about == new.about


def _latest(project: Project) -> dict[str, Prompt]:
    """The highest version of each prompt: what a reference without a constraint means."""
    return {name: project.prompts.find(name) for name in project.prompts.names}


def _prompt(old: Prompt, new: Prompt) -> tuple[str, tuple[str, ...]]:
    changes = compare_prompts(old, new)
    return heaviest(changes) or "", tuple(f"{change.place} {change.detail}" for change in changes)


def _other_versions(old: Project, new: Project) -> Iterator[Change]:
    """Versions beside the latest that come, go or change: workflows may pin them."""
    latest = {(item.name, item.version) for item in (*_latest(old).values(), *_latest(new).values())}
    before, after = ({(item.name, item.version): item for item in project.prompts} for project in (old, new))
    for name, version in sorted(
        (before.keys() | after.keys()) - latest, key=lambda key: (key[0], parse_version(key[1]))
    ):
        key = (name, version)
        if key not in before:
            yield Change("prompt", name, "added", after=version)
        elif key not in after:
            yield Change("prompt", name, "removed", before=version)
        elif before[key].digest != after[key].digest:
            bump, found = _prompt(before[key], after[key])
            yield Change("prompt", name, "changed", version, version, bump, found)


def _tool(old: ToolContract, new: ToolContract) -> tuple[str, tuple[str, ...]]:
    changes = (
        *compare_schemas(old.input_schema, new.input_schema, "input"),
        *compare_schemas(old.output_schema, new.output_schema, "output"),
    )
    found = [f"{change.place} {change.detail}" for change in changes]
    if old.effect != new.effect:
        found.append("it changes the world now" if new.effect else "it changes nothing any more")
    others = ("call", "timeout_s", "settle_s", "idempotency", "errors", "auth", "sinks", "output_labels", "trigger")
    others = (*others, "quota", "owner", "argument_classes", "filters", "about")
    found += [f"{name} changed" for name in others if getattr(old, name) != getattr(new, name)]
    return heaviest(changes) or "", tuple(found)


def _schema(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    side: Side = "input"  # what workflows take; who gives it relies on it
    changes = compare_schemas(old, new, side)
    found = tuple(f"{change.place.removeprefix('input').lstrip('.') or 'it'} {change.detail}" for change in changes)
    return heaviest(changes) or "", found


def _policies(project: Project) -> dict[str, ParsedPolicy]:
    return {policy.id: policy for policy in parse_policies(project.policies)}


def _policy(old: ParsedPolicy, new: ParsedPolicy) -> tuple[str, tuple[str, ...]]:
    if old.effect != new.effect:
        return "", (f"was {old.effect}, is {new.effect}",)
    found = [
        f"its {name} changed"
        for name in ("principal", "action", "resource", "conditions")
        if old.body.get(name) != new.body.get(name)
    ]
    if old.annotations != new.annotations:
        found.append("its obligations changed")
    return "", tuple(found)


def _rule(old: Rule, new: Rule) -> tuple[str, tuple[str, ...]]:
    """What is checked now, and what was."""
    if old.digest == new.digest:
        return "", ()
    before, after = ({one.id: one for one in rule.conditions} for rule in (old, new))
    found = [
        f"{change.place} {change.detail}" for change in compare_schemas(old.input_schema, new.input_schema, "input")
    ]
    for name in (*before, *(name for name in after if name not in before)):
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            found.append(f"condition {name} {'is new' if one is None else 'was removed'}")
            continue
        if one.expression.source != other.expression.source:
            found.append(f"condition {name} was {one.expression.source}, is {other.expression.source}")
        if one.severity != other.severity:
            found.append(f"condition {name} was {one.severity}, is {other.severity}")
    return "", tuple(found) or ("its text changed",)


def _routes(project: Project) -> dict[str, str]:
    """Routes by what they are for, and the models in their order."""
    found: dict[str, str] = {}
    lists = {"": project.models.routes, **project.models.profiles}
    for profile, routes in lists.items():
        for route in routes:
            what = " ".join(
                f"{name} {value}" for name, value in (("prompt", route.prompt), ("task", route.task)) if value
            )
            found.setdefault(f"{what} (profile {profile})" if profile else what, " → ".join(route.use))
    return found


def _written(old: object, new: object) -> tuple[str, tuple[str, ...]]:
    return "", (f"was {old or 'empty'}, is {new or 'empty'}",)


def _fields(old: Any, new: Any) -> tuple[str, tuple[str, ...]]:
    names = (name for name in old.__dataclass_fields__ if getattr(old, name) != getattr(new, name))
    return "", tuple(f"{name} changed" for name in names)


def _members(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    names = [name for name in (*old, *(name for name in new if name not in old)) if old.get(name) != new.get(name)]
    return "", tuple(f"{name} was {old.get(name)}, is {new.get(name)}" for name in names)


def _dicts(items: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: item.as_dict() for name, item in items.items()}


def _sources(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> tuple[str, tuple[str, ...]]:
    before, after = dict(old), dict(new)
    found = [f"{name} is new" for name in after if name not in before]
    found += [f"{name} was removed" for name in before if name not in after]
    found += [f"{name} changed" for name in before if name in after and before[name] != after[name]]
    return "", tuple(found)
