"""The verbs of the language as a table: which keys each has, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from signoff.core.values import value
from signoff.workflows.model import Verb

TargetKind = Literal[
    "prompt",
    "tool",
    "kind",
    "index",
    "rules",
    "decision",
    "title",
    "event",
    "values",
    "workflow",
    "items",
    "body",
    "wait",
    "fragment",
]

DEFAULT_TOP = 5
"""Passages that `retrieve` gives where `top` is not written."""

MAX_TOP = 50
"""Passages that `retrieve` may be asked for."""

DEFAULT_AT_ONCE = 10
"""Iterations of a `for` at the same time, where `at_once` is not written."""

MAX_AT_ONCE = 100
"""The most that `at_once` may say."""

DEFAULT_MAX_ITEMS = 1_000
"""Items that a `for` takes, where `max` is not written."""

MAX_ITEMS = 10_000
"""The most that `max` of a `for` may say."""

DEFAULT_MAX_TURNS = 10
"""Turns of a `repeat`, where `max` is not written."""

MAX_TURNS = 10_000
"""The most that `max` of a `repeat` may say."""

DEFAULT_AGENT_TURNS = 10
"""Turns of an `agent`, where `max_turns` is not written."""

MAX_AGENT_TURNS = 100
"""The most that `max_turns` may say."""

DEFAULT_AGENT_CALLS = 20
"""Calls that an `agent` makes, where `max_calls` is not written."""

MAX_AGENT_CALLS = 500
"""The most that `max_calls` may say."""

DEFAULT_AGENT_ERRORS = 3
"""Failures of calls that an `agent` is told, where `max_errors` is not written."""

DEFAULT_PLAN_STEPS = 10
"""Calls of a `plan`, where `max_steps` is not written."""

MAX_PLAN_STEPS = 100
"""The most that `max_steps` may say."""

LAST_PRIORITY = 9
"""Priorities of runs go from 1, the first, to this."""


@value
class Count:
    """A setting that is a whole number from 1 to `most`; `default` where it is not written."""

    default: int | None
    most: int


@value
class Choice:
    """A setting that is one of these words; the first where it is not written."""

    options: tuple[str, ...]


@value
class Flag:
    """A setting that is true or false; false where it is not written."""


SettingKind = Literal["role", "duration", "fields", "escalate", "name", "labels"] | Count | Choice | Flag

COMMON_KEYS = ("about", "when", "requires", "after", "assert", "on_error")
"""Keys of every step."""

CALL_KEYS = ("retry", "timeout")
"""Keys of steps that ask something outside the engine."""


@value
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
    "model": VerbKeys("kind", mappings=("with",), settings={"labels": "labels"}, others=CALL_KEYS),
    "tool": VerbKeys("tool", mappings=("with",), others=("once", "undo", *CALL_KEYS)),
    "retrieve": VerbKeys(
        "index",
        values=("query",),
        required=("query",),
        settings={"top": Count(DEFAULT_TOP, MAX_TOP)},
        others=CALL_KEYS,
    ),
    "check": VerbKeys("rules", mappings=("with",)),
    "decide": VerbKeys("decision", mappings=("with",)),
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
    "wait": VerbKeys("wait", settings={"on_timeout": Choice(("fail", "continue"))}, others=("timeout",)),
    "call": VerbKeys(
        "workflow",
        mappings=("with",),
        settings={
            "detach": Flag(),
            "on_cancel": Choice(("cancel", "leave")),
            "priority": Count(None, LAST_PRIORITY),
        },
        others=CALL_KEYS,
    ),
    "for": VerbKeys(
        "items",
        required=("steps", "give"),
        settings={
            "as": "name",
            "at_once": Count(DEFAULT_AT_ONCE, MAX_AT_ONCE),
            "max": Count(DEFAULT_MAX_ITEMS, MAX_ITEMS),
            "failures": Choice(("fail", "collect")),
        },
        others=("steps", "give", "timeout"),
    ),
    "repeat": VerbKeys(
        "body",
        required=("until",),
        settings={"max": Count(DEFAULT_MAX_TURNS, MAX_TURNS), "every": "duration", "renew": Count(None, MAX_TURNS)},
        others=("until", "start", "give", "timeout"),
    ),
    "agent": VerbKeys(
        "prompt",
        required=("tools",),
        settings={
            "max_turns": Count(DEFAULT_AGENT_TURNS, MAX_AGENT_TURNS),
            "max_calls": Count(DEFAULT_AGENT_CALLS, MAX_AGENT_CALLS),
            "max_errors": Count(DEFAULT_AGENT_ERRORS, MAX_AGENT_CALLS),
        },
        others=("with", "tools", *CALL_KEYS),
    ),
    "plan": VerbKeys(
        "prompt",
        required=("tools",),
        settings={
            "max_steps": Count(DEFAULT_PLAN_STEPS, MAX_PLAN_STEPS),
            "by": "role",
            "expire": "duration",
            "escalate": "escalate",
        },
        others=("with", "tools", *CALL_KEYS),
    ),
    "do": VerbKeys("body", others=("give", "timeout")),
    "use": VerbKeys("fragment", mappings=("with",), others=("timeout",)),
}
