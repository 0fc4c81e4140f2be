"""Search attributes that a workflow declares: journaled once, when what they read is there and the run rests."""

from __future__ import annotations

import logging
from typing import Any

from signoff.core.errors import SignoffError
from signoff.runtime.attribute_values import journaled
from signoff.runtime.context import RunContext

_log = logging.getLogger(__name__)


def note_attributes(execution: RunContext) -> None:
    """Journal the workflow's attributes whose steps have ended. What the start gave, or was journaled before, stays."""
    known, found = execution.state.attributes, dict[str, Any]()
    for attribute in execution.workflow.attributes:
        roots = {read.root for read in attribute.value.reads}
        if attribute.name in known or any(root != "input" and execution.scope.state(root) is None for root in roots):
            continue
        try:
            value = attribute.value.evaluate(execution.scope)
        except SignoffError as error:
            # Not there for this run, as the reference says; a search for it finds others.
            _log.debug("attribute %s of run %s has no value: %s", attribute.name, execution.run_id, error)
            continue
        item = journaled(attribute.type, value)
        if item is not None:
            found[attribute.name] = item
    if found:
        execution.emit("run.attributes", {"attributes": found})
