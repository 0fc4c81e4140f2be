"""Which arguments of a call the policies can tell apart.

A verdict depends on an argument only where a policy reads it. Two calls that differ in nothing that is read have the
same verdict, so that it can be remembered although every call carries other data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

_CONTEXT = {"Var": "context"}
_ARGUMENTS = {".": {"left": _CONTEXT, "attr": "arguments"}}
_ACCESSES = frozenset((".", "has"))


def arguments_read(bodies: Iterable[Mapping[str, Any]]) -> frozenset[str] | None:
    """The names of `context.arguments` that policies, in Cedar's JSON form, read or ask after.

    None where one uses the arguments, or the context, as a whole: then it may depend on any.
    """
    names: set[str] = set()
    if all(_gather(body.get("conditions", []), names) for body in bodies):
        return frozenset(names)
    return None


def attributes_read(bodies: Iterable[Mapping[str, Any]], variable: str) -> frozenset[str] | None:
    """The attributes of `context`, `resource` or `principal` that the conditions of policies read or ask after.

    None where one uses it otherwise than by reading an attribute: then it may depend on all of it.
    """
    names: set[str] = set()
    if all(_gather_attributes(body.get("conditions", []), {"Var": variable}, names) for body in bodies):
        return frozenset(names)
    return None


def _gather_attributes(node: Any, variable: Mapping[str, str], names: set[str]) -> bool:
    """Add what is read of the variable below a node; false where it is used whole."""
    if isinstance(node, list):
        return all(_gather_attributes(item, variable, names) for item in cast("list[Any]", node))
    if not isinstance(node, dict):
        return True
    if node == variable:
        return False
    for key, inner in cast("dict[str, Any]", node).items():
        if key in _ACCESSES and inner.get("left") == variable and isinstance(inner.get("attr"), str):
            names.add(inner["attr"])
        elif not _gather_attributes(inner, variable, names):
            return False
    return True


def _gather(node: Any, names: set[str]) -> bool:
    """Add what is read below a node; false where arguments or context are used whole."""
    if isinstance(node, list):
        return all(_gather(item, names) for item in cast("list[Any]", node))
    if not isinstance(node, dict):
        return True
    if node in (_CONTEXT, _ARGUMENTS):
        return False  # reached otherwise than by reading one attribute of it
    for key, inner in cast("dict[str, Any]", node).items():
        if key in _ACCESSES and inner.get("left") == _ARGUMENTS:
            if not isinstance(inner.get("attr"), str):
                return False
            names.add(inner["attr"])
        elif key in _ACCESSES and inner.get("left") == _CONTEXT and isinstance(inner.get("attr"), str):
            continue  # all of the context but the arguments is part of what is compared
        elif not _gather(inner, names):
            return False
    return True
