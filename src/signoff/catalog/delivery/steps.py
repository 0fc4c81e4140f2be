"""Two versions of a workflow, step by step, in the document's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from signoff.workflows.model import Outcome, Step, Workflow, every_step

MAX_TEXT = 120
"""How much of an expression a plan shows, in characters."""

OFFERING = ("agent", "plan")
"""Verbs whose model is offered tools."""

_PLACES = frozenset({"line", "waits_for", "body", "fallback", "name"})


def workflow_details(old: Workflow, new: Workflow) -> tuple[str, ...]:
    """What is different of a workflow besides its contract."""
    return tuple(_details(old, new))


def _details(old: Workflow, new: Workflow) -> Iterator[str]:
    for name in ("risk", "owner", "about"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield f"{name} was {_short(before)}, is {_short(after)}"
    for name in ("limits", "goals", "input_labels"):
        if getattr(old, name) != getattr(new, name):
            yield f"{name.replace('_', ' ')} changed"
    before, after = dict(_steps(old.steps, "")), dict(_steps(new.steps, ""))
    yield from (f"step {path} is new ({_what(step)})" for path, step in after.items() if path not in before)
    yield from (f"step {path} was removed ({_what(step)})" for path, step in before.items() if path not in after)
    for path, step in before.items():
        if path in after:
            yield from (f"step {path}: {change}" for change in _step(step, after[path]))
            yield from (f"step {path}: {change}" for change in _offers(step, after[path]))
    yield from _outcomes(old.outcomes, new.outcomes)
    if [item.name for item in old.attributes] != [item.name for item in new.attributes]:
        yield "attributes changed"


def _steps(steps: tuple[Step, ...], prefix: str) -> Iterator[tuple[str, Step]]:
    for step in steps:
        yield prefix + step.name, step
        if step.verb not in OFFERING:  # the steps of an agent and of a plan are ours: what its author wrote is told
            yield from _steps(step.body, f"{prefix}{step.name}/")
        yield from _steps(step.fallback, f"{prefix}{step.name}!")


def _what(step: Step) -> str:
    return f"{step.verb} {step.target}".rstrip()


def _step(old: Step, new: Step) -> Iterator[str]:
    for name in Step.__dataclass_fields__:
        if name in _PLACES:
            continue
        before, after = _plain(getattr(old, name)), _plain(getattr(new, name))
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            mapped, other = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
            for key in (*mapped, *(key for key in other if key not in mapped)):
                if mapped.get(key) != other.get(key):
                    yield f"{key} was {_short(mapped.get(key))}, is {_short(other.get(key))}"
        else:
            yield f"{name.replace('_', ' ')} was {_short(before)}, is {_short(after)}"


def _offers(old: Step, new: Step) -> Iterator[str]:
    """What is different of what an agent or a plan may call, and of how its model is asked."""
    if old.verb not in OFFERING or new.verb != old.verb:
        return
    yield from _step(_asking(old), _asking(new))
    before, after = _offered(old), _offered(new)
    yield from (f"may call {step.target}" for name, step in after.items() if name not in before)
    yield from (f"may no longer call {step.target}" for name, step in before.items() if name not in after)
    for name, step in before.items():
        if name in after:
            yield from (f"of {step.target}, {change}" for change in _step(step, after[name]))


def _asking(step: Step) -> Step:
    """The step that asks the model, without what its group says as well."""
    asked = next((one for one in every_step(step.body) if one.verb == "ai"), step)
    with_only = {name: given for name, given in asked.arguments.items() if name == "with"}
    return replace(asked, target="", arguments=with_only, settings={})


def _offered(step: Step) -> dict[str, Step]:
    """The steps that make the calls, by their names."""
    return {one.name: one for one in every_step(step.body) if one.verb in ("tool", "retrieve")}


def _outcomes(old: tuple[Outcome, ...], new: tuple[Outcome, ...]) -> Iterator[str]:
    before, after = ({item.name: _plain(item) for item in items} for items in (old, new))
    yield from (f"outcome {name} is new" for name in after if name not in before)
    yield from (f"outcome {name} was removed" for name in before if name not in after)
    for name in before:
        if name in after and before[name] != after[name]:
            yield f"outcome {name}: was {_short(before[name])}, is {_short(after[name])}"
    if before.keys() == after.keys() and list(before) != list(after):
        yield "the order of outcomes changed"


def _plain(value: Any) -> Any:
    """Data that can be compared and shown: expressions by their text, dataclasses by their fields."""
    source = getattr(value, "source", None)
    if isinstance(source, str):
        return source
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__ if name not in _PLACES}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, cast("frozenset[Any]", value)))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("tuple[Any, ...]", value)]
    return value


def _short(value: Any) -> str:
    text = "nothing" if value in (None, "", [], {}) else value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
