"""How a request tunes its chat, in each vendor's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from signoff.api.compatible.members import Known, a_count, a_flag, a_number, a_string, an_object, screened, wrong
from signoff.capabilities.gateway.tuning import EFFORTS, Effort, Tuning

IN_CHATS = frozenset(
    (
        "top_p",
        "top_k",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "reasoning_effort",
        "thinking",
        "parallel_tool_calls",
    )
)
"""Members of chat completions; `top_k` and `thinking` are what proxies and local servers added."""
IN_RESPONSES = frozenset(("top_p", "reasoning", "parallel_tool_calls"))
IN_MESSAGES = frozenset(("top_p", "top_k", "thinking"))
_LARGEST_SEED = 2**63 - 1
_MOST_PENALTY = 2
_THINKING = Known(frozenset(("type", "budget_tokens")), hints=frozenset(("display",)))
_REASONING = Known(
    frozenset(("effort",)),
    neutral={"summary": ("auto",), "generate_summary": ("auto",)},
    advice={"summary": "Leave it out: thoughts are shown as far as the model's vendor shows them."},
)


def read_tuning(body: Mapping[str, Any], *, tools: bool) -> Tuning:
    """What a body asks for; what asks for the default asks for nothing.

    Args:
        body: of a chat completion, a response or a message; their members do not contradict each other.
        tools: whether there are any: without them nothing is called, in parallel or not.

    Raises:
        RequestError: a member is wrong.
    """
    top_p = a_number(body.get("top_p"), "top_p", 0, 1)
    thinking_tokens = _thinking(body.get("thinking"))
    effort = _effort(body)
    if effort is not None and thinking_tokens is not None:
        raise wrong("thinking", "Say how much is thought by an effort or by a number of tokens, not by both.")
    return Tuning(
        top_p=None if top_p == 1 else top_p,
        top_k=a_count(body.get("top_k"), "top_k"),
        seed=_seed(body.get("seed")),
        frequency_penalty=_penalty(body, "frequency_penalty"),
        presence_penalty=_penalty(body, "presence_penalty"),
        effort=effort,
        thinking_tokens=thinking_tokens,
        parallel_tools=False if tools and _one_at_a_time(body) else None,
    )


def _penalty(body: Mapping[str, Any], name: str) -> float | None:
    return a_number(body.get(name), name, -_MOST_PENALTY, _MOST_PENALTY) or None


def _seed(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not -_LARGEST_SEED <= value <= _LARGEST_SEED:
        raise wrong("seed", "'seed' has to be a whole number of 64 bits.", "invalid_type")
    return value


def _one_at_a_time(body: Mapping[str, Any]) -> bool:
    if body.get("parallel_tool_calls") is not None:
        return not a_flag(body["parallel_tool_calls"], "parallel_tool_calls")
    choice: Any = body.get("tool_choice")
    where = "disable_parallel_tool_use"
    if not isinstance(choice, dict):
        return False
    return a_flag(cast("dict[str, Any]", choice).get(where), f"tool_choice.{where}")


def _effort(body: Mapping[str, Any]) -> Effort | None:
    reasoning = an_object(body.get("reasoning") or {}, "reasoning")
    screened(reasoning, _REASONING, "reasoning")
    output = an_object(body.get("output_config") or {}, "output_config")
    for where, value in (
        ("reasoning_effort", body.get("reasoning_effort")),
        ("reasoning.effort", reasoning.get("effort")),
        ("output_config.effort", output.get("effort")),
    ):
        if value is not None:
            said = a_string(value, where)
            if said not in EFFORTS:
                raise wrong(where, f"'{where}' is one of {', '.join(EFFORTS)}.")
            return said
    return None


def _thinking(value: Any) -> int | None:
    if value is None:
        return None
    thinking = an_object(value, "thinking")
    screened(thinking, _THINKING, "thinking")
    kind = thinking.get("type")
    if kind == "disabled":
        return None
    if kind != "enabled":
        instead = "'output_config.effort' leaves the number open."
        raise wrong("thinking.type", f"'thinking.type' is enabled, with 'budget_tokens', or disabled; {instead}")
    tokens = a_count(thinking.get("budget_tokens"), "thinking.budget_tokens")
    if tokens is None:
        raise wrong("thinking.budget_tokens", "'thinking.budget_tokens' is missing.", "missing_required_parameter")
    return tokens
