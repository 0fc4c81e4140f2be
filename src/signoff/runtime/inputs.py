"""What is known of a run's input besides its schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from signoff.core.labels import Labels, Trust
from signoff.workflows.model import Workflow
from signoff.workflows.semantics import RunScope, StepState
from signoff.workflows.sources import DEFAULT_INPUT_LABELS, labels_at

KNOWN_WORKFLOWS = 1_024
"""How many workflows' labels of inputs are kept, each by the digest of all that it is compiled from."""


def scope_of(workflow: Workflow, started: Mapping[str, Any], ended: Mapping[str, StepState]) -> RunScope:
    """What a run's expressions see; of one that is called, everything rests on what decided that it is."""
    labels = input_labels(workflow, started)
    # Most runs have what their workflow's schema says, and its runs all ask for the same few fields.
    known = _known(workflow.digest) if labels is workflow.input_labels else None
    scope = RunScope(started["input"], ended, labels, known)
    parent: Mapping[str, Any] = started.get("parent") or {}
    if "control" in parent:
        scope.control = Labels.from_dict(parent["control"])
    return scope


@lru_cache(maxsize=KNOWN_WORKFLOWS)
def _known(digest: str) -> dict[tuple[str, ...], Labels]:  # noqa: ARG001  (by it, one and the same)
    return {}


def input_labels(workflow: Workflow, started: Mapping[str, Any]) -> Mapping[tuple[str, ...], Labels]:
    """The labels of a run's input: what its schema says, and what the data had that it was made from.

    That is of a called run its caller's, by field; of one that a workflow in Python goes on as, all that this had read.
    """
    continued: Mapping[str, Any] = started.get("continued_from") or {}
    parent: Mapping[str, Any] = started.get("parent") or {}
    given: Mapping[str, Any] = parent.get("labels", {})
    anew = "labels" in continued and not continued["loop"]
    if not given and not anew:
        return workflow.input_labels
    found = dict(workflow.input_labels)
    for name, data in given.items():
        labels = Labels.from_dict(data)
        # Whom to trust is known of what is given; the schema says how secret it is besides, whoever gives it.
        own = labels_at(workflow.input_labels, (name,))
        for path in [path for path in found if path[:1] == (name,)]:
            found[path] = replace(found[path], trust=Trust.TRUSTED).join(labels)
        found[name,] = found.get((name,), replace(own, trust=Trust.TRUSTED)).join(labels)
    if anew:
        labels = Labels.from_dict(continued["labels"])
        found = {path: own.join(labels) for path, own in found.items()}
        found.setdefault((), DEFAULT_INPUT_LABELS.join(labels))
    return found
