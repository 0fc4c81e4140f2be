"""What a model is offered to call, by an agent or in a plan, and which arguments of that it may choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from signoff.catalog import Project

Entry = Mapping[str, Any]
"""One tool of those offered: `tool` or `retrieve` names it, `fixed` the arguments that are not the model's."""

_QUERY = {"type": "string", "minLength": 1, "description": "what to look for"}


def about(project: Project, entry: Entry) -> str:
    """What it is for."""
    return f"Finds passages in '{entry['retrieve']}'." if "retrieve" in entry else project.tools[entry["tool"]].about


def choosable(project: Project, entry: Entry) -> dict[str, Any]:
    """JSON Schema of the arguments that a model chooses. The contract's own holds for all of them, in the call."""
    if "retrieve" in entry:
        properties, required, definitions = {"query": _QUERY}, ["query"], None
    else:
        contract = project.tools[entry["tool"]]
        schema, fixed = contract.input_schema, (*entry["fixed"], contract.contract.key_argument)
        declared = cast("Mapping[str, Any]", schema.get("properties") or {})
        properties = {name: part for name, part in declared.items() if name not in fixed}
        required = [name for name in schema.get("required", ()) if name not in fixed]
        definitions = schema.get("$defs")
    found = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return found if definitions is None else {**found, "$defs": definitions}


def given_schema(project: Project, entry: Entry) -> Mapping[str, Any]:
    """JSON Schema of what it gives; anything, of an index."""
    return {} if "retrieve" in entry else project.tools[entry["tool"]].output_schema
