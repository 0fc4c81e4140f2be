"""What the data-flow analysis says of every argument, as text that two releases can be compared by."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.catalog.delivery.model import FlowChange
from signoff.catalog.flow import project_flow
from signoff.catalog.model import Project
from signoff.core.labels import Trust
from signoff.workflows.agents import is_turn
from signoff.workflows.flow.model import Flow, Value


def flow_facts(project: Project) -> dict[tuple[str, str], str]:
    """By workflow and place (`refund.with.cents`): who could have chosen it, within what, and how secret it is."""
    found: dict[tuple[str, str], str] = {}
    for name, result in project_flow(project).results.items():
        for path, step in result.steps.items():
            found[name, f"{path} (that it runs)"] = _said(step.control)
            for key, value in step.arguments.fields.items():
                if key == "last" and is_turn(step.step):
                    continue  # what an agent's turn sees of those before is no argument that anybody wrote
                for place, flow in _places(value, f"{path}.{key}"):
                    found[name, place] = _said(flow)
    return found


def compare_flows(old: Project, new: Project) -> tuple[FlowChange, ...]:
    """Every place of which something else is said."""
    before, after = flow_facts(old), flow_facts(new)
    return tuple(
        FlowChange(workflow, place, before.get((workflow, place), ""), after.get((workflow, place), ""))
        for workflow, place in sorted(before.keys() | after.keys())
        if before.get((workflow, place)) != after.get((workflow, place))
    )


def _places(value: Value, at: str) -> Iterator[tuple[str, Flow]]:
    if not value.fields:
        yield at, value.whole()
    for name, inner in value.fields.items():
        yield from _places(inner, f"{at}.{name}")


def _said(flow: Flow) -> str:
    parts = [flow.trust.name.lower(), flow.data_class.name.lower()]
    if flow.trust is Trust.CONFINED:
        domains = sorted({atom.domain for atom in flow.atoms if atom.domain})
        parts[0] += f" within {' and '.join(domains)}" if domains else ""
    if flow.residency:
        parts.append(f"bound to {', '.join(sorted(flow.residency))}")
    sources = sorted({atom.source for atom in flow.atoms})
    return ", ".join(parts) + (f"; from {', '.join(sources)}" if sources else "")
