"""What is known of a run's input besides its schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signoff.core.labels import Labels
from signoff.workflows.model import Workflow
from signoff.workflows.sources import labels_at


def input_labels(workflow: Workflow, started: Mapping[str, Any]) -> Mapping[tuple[str, ...], Labels]:
    """The labels of a run's input: what its schema says, and of a called run also what its caller's data had."""
    parent: Mapping[str, Any] = started.get("parent") or {}
    given: Mapping[str, Any] = parent.get("labels", {})
    if not given:
        return workflow.input_labels
    found = dict(workflow.input_labels)
    for name, data in given.items():
        labels = Labels.from_dict(data)
        own = labels_at(workflow.input_labels, (name,))
        for path in [path for path in found if path[:1] == (name,)]:
            found[path] = found[path].join(labels)
        found[name,] = found.get((name,), own).join(labels)
    return found
