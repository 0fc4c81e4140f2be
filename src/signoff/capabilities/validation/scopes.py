"""Plain values as what expressions see: each field is a root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signoff.core.labels import BOTTOM, Labels


class Values:
    """The input of a rule or a decision as the scope of its expressions."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def value(self, root: str) -> Any:
        """The field of that name."""
        return self.values[root]

    def readable(self, root: str) -> bool:
        """Whether it is there."""
        return root in self.values

    def labels(self, root: str, path: tuple[str, ...]) -> Labels:  # noqa: ARG002  (the engine labels the step's output)
        """Nothing: the step's output has the labels of all that it read."""
        return BOTTOM
