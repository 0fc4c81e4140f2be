"""What a person needs to look an effect up or to undo one by hand: what was sent, its key, and what it undoes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from signoff.runtime.paths import is_undo, undone_by
from signoff.runtime.records import ENGINE_WAITS
from signoff.runtime.state import RunState, StepRecord

VALUE_CHARACTERS = 2000
"""Of one value that is shown; the journal has it whole."""


def effect_facts(state: RunState, record: StepRecord) -> Mapping[str, Any]:
    """What is known of an effect whose outcome a person is asked for; nothing of any other wait.

    Args:
        state: of the run, as its journal describes it.
        record: the step that waits, or the compensation (`refund/undo`).
    """
    if record.waiting is None or record.waiting.kind not in ENGINE_WAITS:
        return {}
    facts: dict[str, Any] = {"arguments": _shown(record.arguments), "key": record.key, "tries": record.attempt}
    effect = state.steps.get(undone_by(record.path)) if is_undo(record.path) else None
    if effect is not None:
        facts |= {
            "undoes": effect.path,
            "undone_arguments": _shown(effect.arguments),
            "undone_key": effect.key,
            "undone_output": None if effect.state is None else _shown(effect.state.output),
        }
        if effect.ended_at is not None:
            facts["undone_ended_at"] = effect.ended_at.isoformat(timespec="seconds")
    return {name: value for name, value in facts.items() if value is not None}


def _shown(value: Any) -> str:
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}… (signoff runs journal has all of it)"
