"""The language as JSON Schema (2020-12), for editors: completion, hover, first mistakes. `signoff check` knows more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from signoff.workflows.compiler import WORKFLOW_KEYS
from signoff.workflows.defaults import GENERAL, OF_VERBS
from signoff.workflows.failures import MAX_BACKOFF, MAX_RETRIES
from signoff.workflows.kinds import MODEL_KINDS
from signoff.workflows.model import Verb
from signoff.workflows.offers import MAX_OFFERED
from signoff.workflows.verbs import VERBS, Choice, Count, Flag, SettingKind

DIALECT = "https://json-schema.org/draft/2020-12/schema"

ABOUT_VERBS: Mapping[Verb, str] = {
    "ai": "One bounded model task: a prompt of the project, such as classify@^3.",
    "model": "A model that is no language model, by its kind.",
    "tool": "A call by contract: a tool of the project.",
    "retrieve": "Passages of an index for a query.",
    "check": "Named rules over values; a broken one that blocks fails the step.",
    "decide": "A decision table of the project.",
    "review": "A person decides. The value is the title.",
    "emit": "Publish an event of this type.",
    "set": "Name values: a mapping of names to templates.",
    "wait": "Some time (2h), a moment (${…}), or an event ({event: paid.v1, match: {…}}).",
    "call": "Run another workflow of the project, and wait for its end.",
    "for": "Run steps for each item of a list.",
    "repeat": "Run steps again until a condition holds.",
    "agent": "A model that chooses tools inside bounds, and ends with an answer: a prompt of the project.",
    "plan": "A model writes which calls to make; they are validated, perhaps approved, and executed.",
    "do": "Steps that stand together: one condition, one on_error, one timeout.",
    "use": "A fragment of the project: steps with parameters.",
}
ABOUT_KEYS: Mapping[str, str] = {
    "about": "One sentence for people.",
    "after": "Steps that must have ended first, however they end.",
    "as": "What an item is called inside; item where it is not said.",
    "assert": "Conditions on the values about to be used; one that is false fails the step. CEL.",
    "at_once": "Iterations at the same time.",
    "attributes": "What runs are listed and searched by.",
    "by": "The role that decides: role/NAME.",
    "defaults": "What steps say where they say nothing.",
    "detach": "Start the run and go on.",
    "editable": "Proposed fields that a person may change.",
    "escalate": "Ask another role as well, when it has been open for so long.",
    "every": "Time between turns, such as 30s.",
    "expire": "How long a review stays open, such as 2d.",
    "failures": "Of items: fail the group, or collect them.",
    "give": "What is seen of it from outside: a mapping of templates.",
    "goals": "What it is for, in numbers: 0, 40%, 4h, 0.25 USD.",
    "input": "A schema file of the project, or a JSON Schema of an object.",
    "labels": "Into what is classified: names, or names with what each means.",
    "limits": "What one run may cost, how long it may take, how many events it may have.",
    "max": "The most items, or turns.",
    "max_calls": "The most calls that the model may make.",
    "max_errors": "The most failed calls that the model is told of; one more fails the step.",
    "max_steps": "The most calls of a plan.",
    "max_turns": "The most turns; the last one answers.",
    "needed": "Whether a person is needed; false means that the values stand as proposed. CEL.",
    "on_cancel": "What becomes of the run that was called when this one is cancelled.",
    "on_error": "continue, fail, {value: …}, or {steps: …, give: …}.",
    "on_timeout": "What a timeout leads to.",
    "once": "The idempotency key, by business meaning: refund/${order.id}.",
    "outcome": "Named ends; the first whose condition is true is the run's.",
    "owner": "Who is asked about it, such as team/support.",
    "payload": "The event's data.",
    "priority": "From 1, the first, to 9.",
    "propose": "The values to decide on.",
    "query": "What to look for.",
    "renew": "Go on in a new run after so many turns.",
    "requires": "Steps that must be done, or reviews that must be approved or not needed.",
    "retry": "How often and how patiently it is tried again.",
    "risk": "Its risk class; high sets defaults.",
    "show": "What a person sees, as CEL.",
    "start": "What the first turn reads as `last`.",
    "steps": "Steps by name. They run in the order of their references.",
    "timeout": "How long it may take, such as 30s.",
    "tools": "What the model may call: tools, each perhaps with arguments that it cannot choose, and indexes.",
    "top": "How many passages.",
    "undo": "The tool that takes the effect back.",
    "until": "Ends the group when true after a turn. CEL.",
    "version": "Three numbers: 1.2.0.",
    "when": "The step's own condition; false makes it not_needed. CEL.",
    "with": "Its arguments: a mapping of templates.",
    "workflow": "Its name, such as support/refund.",
}
_DURATION = {"type": ["string", "number"], "examples": ["30s", "4h", "2d"]}
_CONDITION = {"type": ["string", "boolean"]}
_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_MAPPING = {"type": "object"}
_STEPS = {"type": "object", "additionalProperties": {"$ref": "#/$defs/step"}, "minProperties": 1}
_TARGETS: Mapping[str, Mapping[str, Any]] = {
    "values": _MAPPING,
    "items": {"type": ["string", "array"]},
    "body": _STEPS,
    "wait": {"type": ["string", "number", "object"]},
    "kind": {"enum": list(MODEL_KINDS)},
}
_KEYS: Mapping[str, Mapping[str, Any]] = {
    "about": {"type": "string"},
    "after": _NAMES,
    "assert": {"anyOf": [_CONDITION, {"type": "array", "items": _CONDITION}]},
    "give": _MAPPING,
    "needed": _CONDITION,
    "on_error": {"anyOf": [{"enum": ["continue", "fail"]}, _MAPPING]},
    "once": {"type": "string"},
    "query": {"type": "string"},
    "requires": _NAMES,
    "retry": {"$ref": "#/$defs/retry"},
    "show": _NAMES,
    "start": _MAPPING,
    "steps": _STEPS,
    "timeout": _DURATION,
    "tools": {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_OFFERED,
        "items": {"anyOf": [{"type": "string"}, _MAPPING]},
    },
    "undo": {
        "type": "object",
        "properties": {
            "tool": {"type": "string"},
            "with": _MAPPING,
            "retry": {"$ref": "#/$defs/retry"},
            "timeout": _DURATION,
            "about": {"type": "string"},
        },
        "required": ["tool"],
        "additionalProperties": False,
    },
    "until": _CONDITION,
    "when": _CONDITION,
}
_RETRY: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "times": {"type": "integer", "minimum": 0, "maximum": MAX_RETRIES},
        "delay": _DURATION,
        "backoff": {"type": "number", "minimum": 1, "maximum": MAX_BACKOFF},
        "max_delay": _DURATION,
        "jitter": {"type": "number", "minimum": 0, "maximum": 1},
        "on": _NAMES,
        "never": _NAMES,
    },
    "required": ["times"],
    "additionalProperties": False,
}


def workflow_schema() -> dict[str, Any]:
    """The schema of `workflows/*.yaml`."""
    properties: dict[str, Any] = {key: _described(key, _document_key(key)) for key in WORKFLOW_KEYS}
    return _document("A Signoff workflow", properties, ("workflow", "version", "input", "steps", "outcome"))


def fragment_schema() -> dict[str, Any]:
    """The schema of `fragments/*.yaml`."""
    properties = {
        "fragment": {"type": "string", "description": "Its name, as `use` names it."},
        "about": _described("about", {"type": "string"}),
        "parameters": {
            "description": "JSON Schemas by name; one with a default may be left out. Steps see them as `given`.",
            "type": "object",
            "additionalProperties": {"type": "object"},
        },
        "steps": _described("steps", _STEPS),
        "give": _described("give", _MAPPING),
    }
    return _document("A Signoff fragment", properties, ("fragment", "steps"))


def decision_schema() -> dict[str, Any]:
    """The schema of `decisions/*.yaml`."""
    cell = {"type": ["string", "number", "boolean", "array", "null"], "examples": ["> 100", "[1..5]", "'de','fr'", "-"]}
    rule = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "A stable name, for journals."},
            "about": {"type": "string"},
            "when": {"type": "object", "description": "Tests by column.", "additionalProperties": cell},
            "give": {"type": "object", "description": "What the row decides."},
        },
        "required": ["give"],
        "additionalProperties": False,
    }
    properties = {
        "decision": {"type": "string", "description": "Its name, as `decide` names it."},
        "about": _described("about", {"type": "string"}),
        "hit": {"enum": ["unique", "first", "collect"], "description": "Which of the rows that are hit count."},
        "input": {"type": "object", "description": "JSON Schema of what is decided on; its fields are columns."},
        "output": {"type": "object", "description": "JSON Schema of what a row gives."},
        "columns": {"type": "object", "description": "Further columns: CEL over the input's fields."},
        "rules": {"type": "array", "items": rule, "minItems": 1},
        "otherwise": {"type": "object", "description": "What is given when no row is hit."},
    }
    schema = _document("A Signoff decision table", properties, ("decision", "input", "output", "rules"))
    del schema["$defs"]
    return schema


LANGUAGE_SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "workflow": workflow_schema,
    "fragment": fragment_schema,
    "decision": decision_schema,
}
"""What makes the schema of each kind of document."""


def _document(title: str, properties: Mapping[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
        "$defs": {"step": _step(), "retry": dict(_RETRY)},
    }


def _document_key(key: str) -> Mapping[str, Any]:
    known: Mapping[str, Mapping[str, Any]] = {
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
        "risk": {"enum": ["low", "medium", "high"]},
        "input": {"type": ["string", "object"]},
        "steps": _STEPS,
        "limits": {
            "type": "object",
            "properties": {"cost": {"type": "string"}, "time": _DURATION, "events": {"type": "integer"}},
            "additionalProperties": False,
        },
        "goals": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
        "attributes": _MAPPING,
        "outcome": {"type": "object", "minProperties": 1},
        "defaults": {
            "type": "object",
            "properties": dict.fromkeys((*GENERAL, *OF_VERBS, "limits"), True),
            "additionalProperties": False,
        },
    }
    return known.get(key, {"type": "string"})


def _step() -> dict[str, Any]:
    """A step: exactly one verb, and the keys of that verb."""
    return {"type": "object", "oneOf": [_of_verb(verb) for verb in VERBS]}


def _of_verb(verb: Verb) -> dict[str, Any]:
    keys = VERBS[verb]
    target = dict(_TARGETS.get(keys.target, {"type": "string"}))
    properties: dict[str, Any] = {verb: {**target, "description": ABOUT_VERBS[verb]}}
    for key in keys.keys:
        kind = (keys.settings or {}).get(key)
        schema = _setting(kind) if kind is not None else _KEYS.get(key, _MAPPING)
        properties[key] = _described(key, schema)
    required = [verb, *keys.required]
    return {"title": verb, "properties": properties, "required": required, "additionalProperties": False}


def _setting(kind: SettingKind) -> Mapping[str, Any]:  # noqa: PLR0911  (one return per kind)
    match kind:
        case Count():
            return {"type": "integer", "minimum": 1, "maximum": kind.most}
        case Choice():
            return {"enum": list(kind.options)}
        case Flag():
            return {"type": "boolean"}
        case "role":
            return {"type": "string", "pattern": "^role/"}
        case "duration":
            return _DURATION
        case "fields":
            return _NAMES
        case "labels":
            return {"type": ["object", "array"]}
        case "escalate":
            return {
                "type": "object",
                "properties": {"open_for": _DURATION, "also": {"type": "string", "pattern": "^role/"}},
                "required": ["open_for", "also"],
                "additionalProperties": False,
            }
        case _:
            return {"type": "string"}


def _described(key: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    about = ABOUT_KEYS.get(key)
    return dict(schema) if about is None else {**schema, "description": about}
