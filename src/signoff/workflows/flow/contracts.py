"""What the analysis must know of the things that a workflow names. The catalogue fills it in from a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from signoff.core.labels import BOTTOM, DataClass, Labels
from signoff.core.values import value
from signoff.workflows.model import Expression, Workflow

Path = tuple[str, ...]
SinkTrust = Literal["trusted", "confined", "any"]
Trigger = Literal["trusted", "any"]

DEFAULT_CLASS = DataClass.INTERNAL
"""The highest class that a tool's argument takes where its contract names none."""


@value
class ToolFacts:
    """A tool, as far as data flow goes.

    Attributes:
        sinks: the trust that arguments need, by path.
        classes: the highest class that arguments may have, by path; `DEFAULT_CLASS` for others.
        output_labels: what the contract vouches for, by path; nothing else is.
        owner: the argument, or the field of its output, that names whose the record is; empty where nobody owns it.
        trigger: whether untrusted data may cause the effect.
        quota: whether the contract limits what untrusted data may spend.
    """

    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    effect: bool = False
    sinks: Mapping[Path, SinkTrust] = field(default_factory=dict[Path, SinkTrust])
    classes: Mapping[Path, DataClass] = field(default_factory=dict[Path, DataClass])
    output_labels: Mapping[Path, Labels] = field(default_factory=dict[Path, Labels])
    owner: str = ""
    trigger: Trigger = "trusted"
    quota: bool = False


@value
class PromptFacts:
    """A prompt: the highest class that it takes, and what it gives."""

    data_class: DataClass
    output_schema: Mapping[str, Any]


@value
class RuleFacts:
    """A rule set: its conditions over the fields of its input, and which must hold where no review is asked for."""

    conditions: tuple[tuple[Expression, Literal["block", "review", "warn"]], ...]


@dataclass(slots=True)
class Surroundings:
    """Everything that the workflows of a project name, by name.

    Attributes:
        events: what is known of an event's payload by the type of the event, from those who emit it in the project.
    """

    tools: Mapping[str, ToolFacts] = field(default_factory=dict[str, ToolFacts])
    prompts: Mapping[str, PromptFacts] = field(default_factory=dict[str, PromptFacts])
    trusted_indexes: frozenset[str] = frozenset()
    rules: Mapping[str, RuleFacts] = field(default_factory=dict[str, RuleFacts])
    workflows: Mapping[str, Workflow] = field(default_factory=dict[str, Workflow])
    events: dict[str, Labels] = field(default_factory=dict[str, Labels])

    def event(self, kind: str) -> Labels:
        """The class and residency that an event of that type may have."""
        return self.events.get(kind, BOTTOM)
