"""What a step of each verb gives, as far as it is known before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from signoff.workflows.model import Contract, Expression, Verb
from signoff.workflows.shapes import ANY, BOOLEAN, NULL, STRING, Shape, object_shape, shape_of_schema
from signoff.workflows.values import shape_of

ENDS = ("done", "not_needed", "blocked", "failed", "cancelled", "bypassed")
"""What `.result` may be of a step that is no review."""

REVIEW_ENDS = ("approved", "rejected", "expired", *ENDS[1:])
"""What `.result` may be of a review."""


def output_shape(verb: Verb | None, contract: Contract | None, arguments: Mapping[str, Expression]) -> Shape:
    """The shape of a step's value, with `done` and `result`; anything where the step itself is wrong."""
    if verb is None:
        return ANY
    status = {"done": BOOLEAN, "result": _one_of(REVIEW_ENDS if verb == "review" else ENDS)}
    if verb == "review":
        proposed = shape_of(arguments["propose"]) if "propose" in arguments else ANY
        decided = {"comment": STRING.union(NULL), "decided_by": STRING}
        return proposed.with_fields({**decided, **status}) if proposed != ANY else ANY
    if verb == "set":
        values = shape_of(arguments["set"]) if "set" in arguments else ANY
        return values.with_fields(status) if values != ANY else ANY
    if verb == "emit":
        return object_shape(status)
    if contract is None:
        return ANY
    return shape_of_schema(contract.output_schema).with_fields(status)


def _one_of(texts: tuple[str, ...]) -> Shape:
    return replace(STRING, constants=frozenset(texts))
