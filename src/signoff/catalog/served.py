"""What calls of programs count as where they say nothing: `served:` of `models.yaml`."""

from __future__ import annotations

from signoff.core.labels import DataClass
from signoff.core.values import value
from signoff.workflows.model import Risk

RISKS: tuple[Risk, ...] = ("low", "medium", "high")
"""From the lowest up."""


@value
class ServedDefaults:
    """The least that a program's call counts as. Programs may say that theirs is worse, never that it is better.

    Attributes:
        data_class: of what they send.
        risk: of what they do with the answers.
        residency: regions that their data is bound to, whatever they say.
        drops: whether members of requests that are not supported, and that an answer can do without, are left out and
            named instead of refused.
    """

    data_class: DataClass = DataClass.INTERNAL
    risk: Risk = "low"
    residency: frozenset[str] = frozenset()
    drops: bool = False
