"""What holds for tools that workflows in Python call, of which nothing is proven before they run.

Code may put anything that it has read into anything that it does, so a step in Python has the join of all labels so
far. Where that is untrusted, an effect takes values only that stand unchanged in a trusted source of the run or in the
code itself, that the contract lists, or that a person saw who approved this very effect. What is none of these is
refused, and nothing is sent. `docs/reference/data-flow.md` has the claim.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, cast

from signoff.catalog import Project, ToolContract
from signoff.core.errors import StepError
from signoff.core.labels import Labels, Trust
from signoff.runtime.handlers import StepCall
from signoff.steps.services import project_of
from signoff.workflows.flow.contracts import DEFAULT_CLASS
from signoff.workflows.model import Workflow
from signoff.workflows.sources import labels_at

MAX_LEAVES = 10_000
"""Texts and numbers of one value that are looked at; those after them are known from nowhere."""

CODE_KEPT = 64
"""Files of code whose constants are kept."""

BY_POLICY = "policy"
"""Who decides a review that nobody had to see."""

Path = tuple[str, ...]
Leaf = tuple[str, Any]
"""A value that is no object and no list, with the name of its type: `True` is not 1."""


def require_flow(call: StepCall, contract: ToolContract) -> None:
    """Hold one call of a tool by a workflow in Python to the sinks of its contract; a document's were proven.

    Raises:
        StepError: kind `flow`: untrusted data could have caused the effect, or set an argument that may not have it;
            kind `forbidden`: an argument may not have the class of what the run has read.
    """
    workflow = project_of(call).workflows.get(call.run.workflow)
    if workflow is None or workflow.python is None:
        return
    _require_class(call, contract)
    if contract.effect and call.labels.trust is not Trust.TRUSTED:
        _require_trust(call, contract, workflow)


def require_offers(call: StepCall) -> None:
    """Hold what a workflow in Python offers to a model to the project; a document's offers were checked.

    A value that a model writes may equal one that is trusted, and is not the less its choice: so it chooses no argument
    that takes trusted values only.

    Raises:
        StepError: kind `arguments`: there is no such tool or index; kind `flow`: it could choose a trusted argument.
    """
    project = project_of(call)
    workflow = project.workflows.get(call.run.workflow)
    if workflow is None or workflow.python is None:
        return
    for entry in call.step.settings["tools"].values():
        index, tool = entry.get("retrieve"), project.tools.get(entry.get("tool", ""))
        if index is None and tool is None:
            raise StepError(f"There is no tool named '{entry['tool']}'.", kind="arguments")
        if index is not None and index not in project.knowledge:
            raise StepError(f"There is no index named '{index}'.", kind="arguments")
        for name in () if tool is None else sorted(tool.trusted_arguments.difference(entry["fixed"])):
            detail = (
                f"A model could choose '{name}' of '{entry['tool']}', which takes trusted values only: write it in"
                " 'with' of this entry of 'tools'."
            )
            raise StepError(detail, kind="flow")


def _require_class(call: StepCall, contract: ToolContract) -> None:
    data_class = call.labels.data_class
    for name in _given(call):
        limits = [limit for path, limit in contract.argument_classes.items() if path[:1] == (name,)] or [DEFAULT_CLASS]
        if data_class > min(limits):
            detail = (
                f"The run has read {data_class.name.lower()} data, and '{name}' of '{contract.name}' takes up to"
                f" {min(limits).name.lower()}. In Python everything that was read may be in it."
            )
            raise StepError(detail, kind="forbidden")


def _require_trust(call: StepCall, contract: ToolContract, workflow: Workflow) -> None:
    seen = _seen_by_people(call)
    if seen is None and not call.path.endswith("/undo"):
        if contract.trigger != "any":
            detail = (
                f"The run has read untrusted data, which may not cause '{contract.name}'. Let a person approve it in a"
                " review that the step requires, or write 'trigger: any' in the tool's contract."
            )
            raise StepError(detail, kind="flow")
        if contract.quota is None and any(_is_amount(contract, path) for path in contract.sinks):
            detail = (
                f"The run has read untrusted data, and no quota limits what it may spend through '{contract.name}'."
            )
            raise StepError(detail, kind="flow")
    known: frozenset[Leaf] | None = None
    for path, sink in contract.sinks.items():
        for leaf in _leaves_at(_given(call), path) if sink != "any" else ():
            if sink == "confined" and _is_listed(contract, path):
                continue
            if known is None:
                known = _known(call, project_of(call), workflow) | (seen or frozenset())
            if leaf not in known:
                raise StepError(_unknown(contract, path, sink), kind="flow")


def _unknown(contract: ToolContract, path: Path, sink: str) -> str:
    return (
        f"'{'.'.join(path)}' of '{contract.name}' takes {sink} values,"
        " and the run has read untrusted data: this value stands in no trusted source, and no person approved it."
        " Pass a trusted value on as it is, or propose it in a review that the step requires."
    )


def _given(call: StepCall) -> Mapping[str, Any]:
    return call.arguments.get("with", {})


# --- what is known of values ------------------------------------------------------------------------------------------


def _seen_by_people(call: StepCall) -> frozenset[Leaf] | None:
    """What people saw, proposed and decided who approved this effect; none where nobody did."""
    people = {approval.step for approval in call.approvals if approval.decided_by not in ("", BY_POLICY)}
    if not people:
        return None
    found: set[Leaf] = set()
    for told in call.told():
        if told.path in people:
            found.update(leaf for _, leaf in _leaves([dict(told.arguments), dict(told.output)]))
    return frozenset(found)


def _known(call: StepCall, project: Project, workflow: Workflow) -> frozenset[Leaf]:
    """The values of all trusted sources so far: fields of the input, what tools vouch for, constants of the code."""
    found: set[Leaf] = set()
    for name, content in project.files.items():
        if name.startswith("workflows/") and name.endswith(".py"):
            found |= _constants(content)
    for told in call.told():
        if told.verb == "input":
            found.update(leaf for path, leaf in _leaves(told.output) if _is_trusted(workflow.input_labels, path))
        elif told.verb == "tool" and told.target in project.tools:
            contract = project.tools[told.target]
            if _tied(contract, told.arguments.get("with", {}), found):
                answers = ((tuple(part for part in path if part != "*"), leaf) for path, leaf in _leaves(told.output))
                found.update(leaf for path, leaf in answers if _vouched(contract, path))
    return frozenset(found)


def _tied(contract: ToolContract, given: Mapping[str, Any], known: set[Leaf]) -> bool:
    """Whether a tool's record is one that nobody untrusted chose, or a trusted owner's; of an effect its own answer."""
    if contract.effect:
        return True
    owner = {contract.owner: given[contract.owner]} if contract.owner in given else given
    return all(leaf in known for _, leaf in _leaves(owner))


def _vouched(contract: ToolContract, path: Path) -> bool:
    """Whether a contract says of a field, or of the nearest thing around it, that it is trusted."""
    above = (path[:length] for length in range(len(path), -1, -1))
    nearest = next((contract.output_labels[one] for one in above if one in contract.output_labels), None)
    return nearest is not None and nearest.trust is Trust.TRUSTED


def _is_trusted(labels: Mapping[Path, Labels], path: Path) -> bool:
    return labels_at(labels, path).trust is Trust.TRUSTED


@lru_cache(maxsize=CODE_KEPT)
def _constants(content: bytes) -> frozenset[Leaf]:
    """What the code itself writes out."""
    tree = ast.parse(content)
    return frozenset(_leaf(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant))


def _leaf(value: Any) -> Leaf:
    return type(value).__name__, value


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """What is in a value, with its place; items of a list stand at `*`."""
    return islice(_every_leaf(value, path), MAX_LEAVES)


def _every_leaf(value: Any, path: Path) -> Iterator[tuple[Path, Leaf]]:
    if isinstance(value, Mapping):
        for name, item in cast("Mapping[str, Any]", value).items():
            yield from _every_leaf(item, (*path, name))
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _every_leaf(item, (*path, "*"))
    elif value is not None:
        yield path, _leaf(value)


def _leaves_at(value: Any, path: Path) -> Iterator[Leaf]:
    """Everything that is in an argument: keys of objects too, as whoever chooses them chooses something."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _leaves_at(item, path)
    elif isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        if path:
            if path[0] in members:
                yield from _leaves_at(members[path[0]], path[1:])
            return
        for name, item in members.items():
            yield _leaf(name)
            yield from _leaves_at(item, ())
    elif value is not None:
        yield _leaf(value)


def _schema_at(contract: ToolContract, path: Path) -> Mapping[str, Any]:
    schema: Any = contract.input_schema
    for name in path:
        while isinstance(schema, Mapping) and "properties" not in schema and "items" in schema:
            schema = cast("Mapping[str, Any]", schema)["items"]
        properties: Any = cast("Mapping[str, Any]", schema).get("properties") if isinstance(schema, Mapping) else None
        schema = cast("Mapping[str, Any]", properties).get(name) if isinstance(properties, Mapping) else None
    return cast("Mapping[str, Any]", schema) if isinstance(schema, Mapping) else {}


def _is_listed(contract: ToolContract, path: Path) -> bool:
    """Whether the contract itself confines an argument: to a list, or between two bounds."""
    schema = _schema_at(contract, path)
    low, high = (any(key in schema for key in keys) for keys in (_LOWER, _UPPER))
    return isinstance(schema.get("enum"), list) or schema.get("type") == "boolean" or (low and high)


_LOWER = ("minimum", "exclusiveMinimum")
_UPPER = ("maximum", "exclusiveMaximum")


def _is_amount(contract: ToolContract, path: Path) -> bool:
    """Whether an argument is a confined number: what a quota counts."""
    return contract.sinks[path] == "confined" and _schema_at(contract, path).get("type") in ("integer", "number")
