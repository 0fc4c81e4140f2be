"""The verbs of the language as a table: which keys each has, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from signoff.workflows.model import Verb

TargetKind = Literal["prompt", "tool", "index", "rules", "title", "event", "values"]
SettingKind = Literal["role", "duration", "fields", "count", "escalate"]

COMMON_KEYS = ("about", "when", "requires", "after", "assert", "on_error")
"""Keys of every step."""

CALL_KEYS = ("retry", "timeout")
"""Keys of steps that ask something outside the engine."""


@dataclass(frozen=True, slots=True)
class VerbKeys:
    """What a step of a verb may say.

    Attributes:
        target: what the value of the verb's own key names.
        mappings: arguments that are objects of templates.
        values: arguments that are one template.
        required: keys that must be there.
        settings: constants, by key.
        others: further keys of the language that the verb has.
    """

    target: TargetKind
    mappings: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    settings: Mapping[str, SettingKind] | None = None
    others: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key but the verb's own."""
        return (*self.mappings, *self.values, *(self.settings or {}), *self.others, *COMMON_KEYS)


VERBS: Mapping[Verb, VerbKeys] = {
    "ai": VerbKeys("prompt", mappings=("with",), others=CALL_KEYS),
    "tool": VerbKeys("tool", mappings=("with",), others=("once", "undo", *CALL_KEYS)),
    "retrieve": VerbKeys("index", values=("query",), required=("query",), settings={"top": "count"}, others=CALL_KEYS),
    "check": VerbKeys("rules", mappings=("with",)),
    "review": VerbKeys(
        "title",
        mappings=("propose",),
        required=("by",),
        settings={
            "by": "role",
            "editable": "fields",
            "escalate": "escalate",
            "expire": "duration",
        },
        others=("needed", "show"),
    ),
    "emit": VerbKeys("event", mappings=("payload",), others=CALL_KEYS),
    "set": VerbKeys("values"),
}

DEFAULT_TOP = 5
"""Passages that `retrieve` gives where `top` is not written."""

MAX_TOP = 50
"""Passages that `retrieve` may be asked for."""
