"""What a project declares for all of its workflows, as it was read: fragments, and what steps say by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from signoff.core.errors import Problem
from signoff.core.values import value
from signoff.workflows.documents import Node


@value
class Fragment:
    """A fragment as it was read.

    Attributes:
        name: as `use` names it.
        file: its file in the project.
        node: the whole document.
        schema: JSON Schema of its parameters, an object.
        defaults: of parameters that a use may leave out.
        broken: the first thing that is wrong with it; it cannot be used then.
    """

    name: str
    file: str
    node: Node
    schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    broken: Problem | None = None


@value
class Defaults:
    """All layers, merged.

    Attributes:
        steps: by verb, the keys that its steps have besides their own.
        limits: of the run, by key.
    """

    steps: Mapping[str, Mapping[str, Node]] = field(default_factory=dict[str, Mapping[str, Node]])
    limits: Mapping[str, Node] = field(default_factory=dict[str, Node])

    def over(self, node: Node, verb: str | None) -> Node:
        """A step with the defaults of its verb among its keys, each in the step's own place."""
        given = self.steps.get(verb or "", {})
        missing = {key: _at(value, node) for key, value in given.items() if key not in node.entries}
        if not missing:
            return node
        places = dict.fromkeys(missing, (node.line, node.column))
        return replace(node, entries={**node.entries, **missing}, keys={**node.keys, **places})

    def plain(self) -> dict[str, Any]:
        """As data, for digests."""
        steps = {verb: {key: node.plain() for key, node in keys.items()} for verb, keys in sorted(self.steps.items())}
        return {"steps": steps, "limits": {key: node.plain() for key, node in self.limits.items()}}

    def then(self, layer: Defaults) -> Defaults:
        """These, with a layer over them."""
        verbs = {*self.steps, *layer.steps}
        steps = {verb: {**self.steps.get(verb, {}), **layer.steps.get(verb, {})} for verb in verbs}
        return Defaults(steps, {**self.limits, **layer.limits})


def _at(node: Node, step: Node) -> Node:
    """A value as if it stood in a step: a default may come from another file."""
    return replace(
        node,
        path=step.path,
        line=step.line,
        column=step.column,
        raw="",
        entries={key: _at(value, step) for key, value in node.entries.items()},
        keys=dict.fromkeys(node.entries, (step.line, step.column)),
        items=tuple(_at(item, step) for item in node.items),
    )
