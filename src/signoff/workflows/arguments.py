"""Checks what a step gives against what its contract takes."""

from __future__ import annotations

from signoff.core.errors import did_you_mean
from signoff.workflows.documents import Node
from signoff.workflows.report import Report
from signoff.workflows.shapes import Shape

MAX_CHECKED_NESTING = 8
"""Objects inside each other that are compared: schemas may be recursive."""


def check_fields(
    report: Report, node: Node, given: Shape, expected: Shape, taker: str, *, depth: int = MAX_CHECKED_NESTING
) -> None:
    """Report fields that are unknown, missing, or can never have the right type; nested objects too.

    Args:
        report: where problems go.
        node: the mapping in the document, or the step where it has none.
        given: what the document gives.
        expected: what the contract takes.
        taker: the contract's name, for people.
        depth: how many objects deeper to look.
    """
    if not expected.may_be(given.kinds):
        report.add(node, f"{taker} takes {expected} here, and this is {given}.", code="type")
        return
    if not given.is_only("object") or not expected.may_be(("object",)):
        _check_constants(report, node, given, expected, taker)
        return
    for name in given.names:
        found, value = expected.get(name), given.get(name)
        if found is None:
            hint = did_you_mean(name, expected.names)
            detail = f"{taker} knows no '{name}'."
            if name in node.entries:
                report.add_key(node, name, detail, suggestion=hint, code="unknown-argument")
            else:
                report.add(node, detail, suggestion=hint, code="unknown-argument")
        elif value is not None and depth:
            check_fields(report, node.entries.get(name, node), value, found, taker, depth=depth - 1)
    if given.open:
        return
    for name in sorted(expected.required - set(given.names)):
        report.add(node, f"'{name}' is missing: {taker} needs it.", code="missing-argument")


def _check_constants(report: Report, node: Node, given: Shape, expected: Shape, taker: str) -> None:
    if given.constants is None or expected.constants is None or not given.is_only("string"):
        return
    wrong = sorted(given.constants - expected.constants)
    if wrong and not given.constants & expected.constants:
        known = sorted(expected.constants)
        detail = f"{taker} takes one of {', '.join(known)} here, not '{wrong[0]}'."
        report.add(node, detail, suggestion=did_you_mean(wrong[0], known), code="constant")
