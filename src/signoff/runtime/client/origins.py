"""Which run another one came from: a fork, a called run, or one that goes on with a loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def origin_of(started: Mapping[str, Any]) -> dict[str, Any] | None:
    """Which run it came from and how; none where somebody or a schedule started it.

    Args:
        started: the data of its `run.started`.
    """
    fork: Mapping[str, Any] | None = started.get("forked_from")
    if fork is not None:
        dry = bool(started.get("dry"))
        return {"kind": "fork", "run_id": fork["run_id"], "seq": fork["seq"], "dry": dry, "reason": fork["reason"]}
    parent: Mapping[str, Any] | None = started.get("parent")
    if parent is not None:
        return {"kind": "call", "run_id": parent["run_id"], "step": parent["path"]}
    before: Mapping[str, Any] | None = started.get("continued_from")
    return None if before is None else {"kind": "loop", "run_id": before["run_id"], "turns": before["turns"]}


def origin_text(origin: Mapping[str, Any]) -> str:
    """The same as a sentence."""
    other = origin["run_id"]
    if origin["kind"] == "call":
        return f"Step '{origin['step']}' of run {other} called it."
    if origin["kind"] == "loop":
        return f"It goes on with the loop of run {other}, after {origin['turns']} turns."
    because = f" ({origin['reason']})" if origin["reason"] else ""
    acts = (
        "It acts dry: no tool with an effect is called and nothing is emitted; such steps give what was recorded there."
        if origin["dry"]
        else "Its effects are real."
    )
    return f"It is a fork of run {other} as of event {origin['seq']}{because}. {acts}"
