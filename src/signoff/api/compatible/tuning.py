"""How a request tunes its chat, in each vendor's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from signoff.api.compatible.members import Known, a_count, a_flag, a_number, a_string, an_object, screened, wrong
from signoff.capabilities.gateway.tuning import EFFORTS, UNTUNED, VERBOSITIES, Effort, Tuning, Verbosity

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
        "verbosity",
        "logit_bias",
        "logprobs",
        "top_logprobs",
    )
)
"""Members of chat completions; `top_k` and `thinking` are what proxies and local servers added."""
IN_RESPONSES = frozenset(("top_p", "reasoning", "parallel_tool_calls", "top_logprobs"))
IN_MESSAGES = frozenset(("top_p", "top_k", "thinking"))
_LARGEST_SEED = 2**63 - 1
_MOST_PENALTY = 2
_THINKING = Known(frozenset(("type", "budget_tokens")), hints=frozenset(("display",)))
_SHOWN = "Leave it out: thoughts are shown as far as the model's vendor shows them."
REASONING = Known(
    frozenset(("effort",)),
    neutral={"summary": ("auto",), "generate_summary": ("auto",), "context": ("auto",), "mode": ("standard",)},
    advice={"summary": _SHOWN, "context": "Send the thoughts that count as items.", "mode": "Say 'effort'."},
)
_MOST_TOKENS_BIASED = 1_024
_MOST_BIAS = 100
_MOST_LIKELY = 20


TUNING = frozenset(
    (
        *("top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"),
        *("thinking", "reasoning", "reasoning_effort", "output_config", "verbosity", "text", "service_tier"),
        *("parallel_tool_calls", "tool_choice"),
    )
)
"""Every member that `read_tuning` looks at: most bodies have none of them."""


def read_tuning(body: Mapping[str, Any], *, tools: bool, drops: bool = False) -> Tuning:
    """What a body asks for; what asks for the default asks for nothing.

    Args:
        body: of a chat completion, a response or a message; their members do not contradict each other.
        tools: whether there are any: without them nothing is called, in parallel or not.
        drops: whether a model that has no place for some of it is asked without.

    Raises:
        RequestError: a member is wrong.
    """
    if not drops and TUNING.isdisjoint(body):
        return UNTUNED
    top_p = a_number(body.get("top_p"), "top_p", 0, 1)
    adaptive, thinking_tokens = _thinking(body.get("thinking"))
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
        adaptive_thinking=adaptive,
        parallel_tools=False if tools and _one_at_a_time(body) else None,
        verbosity=_verbosity(body),
        logit_bias=_logit_bias(body.get("logit_bias")),
        flex_tier="flex" if body.get("service_tier") == "flex" else None,
        standard_tier="standard_only" if body.get("service_tier") == "standard_only" else None,
        logprobs=_logprobs(body),
        optional=drops,
    )


def _logprobs(body: Mapping[str, Any]) -> int | None:
    """How many likely tokens are wanted with each token of the answer; none where none of it is."""
    most: Any = body.get("top_logprobs")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= _MOST_LIKELY):
        raise wrong("top_logprobs", f"'top_logprobs' is a whole number from 0 to {_MOST_LIKELY}.")
    if a_flag(body.get("logprobs"), "logprobs"):
        return most or 0
    if most:
        raise wrong("top_logprobs", "'top_logprobs' is for requests with 'logprobs': true.")
    return None


def _verbosity(body: Mapping[str, Any]) -> Verbosity | None:
    text: Any = body.get("text")
    own: Any = cast("dict[str, Any]", text).get("verbosity") if isinstance(text, dict) else None
    for where, value in (("verbosity", body.get("verbosity")), ("text.verbosity", own)):
        if value is not None:
            said = a_string(value, where)
            if said not in VERBOSITIES:
                raise wrong(where, f"'{where}' is one of {', '.join(VERBOSITIES)}.")
            return said
    return None


def _logit_bias(value: Any) -> Mapping[str, float] | None:
    if value is None:
        return None
    biases = an_object(value, "logit_bias")
    if len(biases) > _MOST_TOKENS_BIASED:
        raise wrong("logit_bias", f"'logit_bias' has more than {_MOST_TOKENS_BIASED} tokens.")
    found: dict[str, float] = {}
    for token, bias in biases.items():
        if not (token.isascii() and token.isdecimal()):
            raise wrong("logit_bias", "'logit_bias' names tokens by their numbers, such as {\"50256\": -100}.")
        by = a_number(bias, f"logit_bias.{token}", -_MOST_BIAS, _MOST_BIAS)
        found[token] = 0 if by is None else by
    return found or None


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
    screened(reasoning, REASONING, "reasoning")
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


def _thinking(value: Any) -> tuple[Literal[True] | None, int | None]:
    """Whether the model decides how much it thinks, or how many tokens are for that."""
    if value is None:
        return None, None
    thinking = an_object(value, "thinking")
    screened(thinking, _THINKING, "thinking")
    kind = thinking.get("type")
    if kind == "disabled":
        return None, None
    if kind == "adaptive":
        if thinking.get("budget_tokens") is not None:
            raise wrong("thinking.budget_tokens", "'thinking.budget_tokens' is for the type enabled.")
        return True, None
    if kind != "enabled":
        raise wrong("thinking.type", "'thinking.type' is adaptive, disabled, or enabled with 'budget_tokens'.")
    tokens = a_count(thinking.get("budget_tokens"), "thinking.budget_tokens")
    if tokens is None:
        raise wrong("thinking.budget_tokens", "'thinking.budget_tokens' is missing.", "missing_required_parameter")
    return None, tokens
