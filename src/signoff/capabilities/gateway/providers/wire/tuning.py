"""Where each wire format has what chats are tuned by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from signoff.capabilities.gateway.providers.wire.reading import cannot
from signoff.capabilities.gateway.tuning import Tuning

Places = Mapping[str, str]
"""Members of `Tuning`, and where they stand in a body: `reasoning.effort` is a member of a member."""

_COMMON: Places = {
    "top_p": "top_p",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "effort": "reasoning_effort",
    "parallel_tools": "parallel_tool_calls",
    "logprobs": "top_logprobs",
}
"""What most of those who speak OpenAI's format have too."""
AZURE: Places = {**_COMMON, "verbosity": "verbosity", "logit_bias": "logit_bias"}
"""https://learn.microsoft.com/azure/ai-foundry/openai/reference"""
OPENAI: Places = {**AZURE, "flex_tier": "service_tier"}
"""https://platform.openai.com/docs/api-reference/chat/create"""
AZURE_RESPONSES: Places = {
    "top_p": "top_p",
    "effort": "reasoning.effort",
    "parallel_tools": "parallel_tool_calls",
    "verbosity": "text.verbosity",
    "logprobs": "top_logprobs",
}
RESPONSES: Places = {**AZURE_RESPONSES, "flex_tier": "service_tier"}
"""https://platform.openai.com/docs/api-reference/responses/create"""
COMPATIBLE: Places = {**_COMMON, "top_k": "top_k", "logit_bias": "logit_bias"}
"""vLLM, SGLang, llama.cpp and LM Studio have `top_k` and `logit_bias` too."""
_NOT_LLAMA = ("effort", "parallel_tools", "logit_bias")
LLAMA: Places = {name: place for name, place in COMPATIBLE.items() if name not in _NOT_LLAMA}
"""https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"""
MISTRAL: Places = {
    **{name: place for name, place in _COMMON.items() if name not in ("effort", "logprobs")},
    "seed": "random_seed",
}
"""https://docs.mistral.ai/api/#tag/chat"""
CEREBRAS: Places = {name: place for name, place in _COMMON.items() if not name.endswith("_penalty")}
"""https://inference-docs.cerebras.ai/api-reference/chat-completions"""
GROQ: Places = {**{name: place for name, place in CEREBRAS.items() if name != "logprobs"}, "flex_tier": "service_tier"}
"""https://console.groq.com/docs/api-reference: no penalties, no `logprobs` ("not yet supported by our models")."""
OPENROUTER: Places = {
    **COMPATIBLE,
    "effort": "reasoning.effort",
    "thinking_tokens": "reasoning.max_tokens",
    "verbosity": "verbosity",
}
"""https://openrouter.ai/docs/api-reference/parameters"""
DEEPSEEK: Places = {
    **{name: name for name in ("top_p", "frequency_penalty", "presence_penalty")},
    "logprobs": "top_logprobs",
}
"""https://api-docs.deepseek.com/api/create-chat-completion"""
HUGGINGFACE: Places = {name: place for name, place in _COMMON.items() if name != "parallel_tools"}
"""https://huggingface.co/docs/inference-providers/tasks/chat-completion"""
GOOGLE: Places = {
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "thinking_tokens": "thinkingConfig.thinkingBudget",
}
"""https://ai.google.dev/api/generate-content#generationconfig"""
COHERE: Places = {
    "top_p": "p",
    "top_k": "k",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "thinking_tokens": "thinking.token_budget",
}
"""https://docs.cohere.com/reference/chat"""
OLLAMA: Places = {name: name for name in ("top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")}
"""https://github.com/ollama/ollama/blob/main/docs/modelfile.md#parameter"""
CONVERSE: Places = {"top_p": "topP"}
"""https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InferenceConfiguration.html"""
ANTHROPIC_BEDROCK: Places = {"top_p": "top_p", "top_k": "top_k"}
"""https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html"""
ANTHROPIC: Places = {**ANTHROPIC_BEDROCK, "standard_tier": "service_tier"}
"""https://docs.anthropic.com/en/api/messages"""

_SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
_LEAST_THOUGHTS = 1_024
_ADAPTS = re.compile(r"claude-[a-z]+-(4-[6-9]\b|[5-9]\b|\d\d|preview)")
"""Models that decide by themselves how much they think: from the generation 4.6 on."""
_EFFORTS: Mapping[str, str] = {"minimal": "low"}
"""Efforts that Anthropic has another word for."""
_BUDGETS = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}


def tuned(body: dict[str, Any], tuning: Tuning, places: Places, *, elsewhere: frozenset[str] = frozenset()) -> None:
    """Put what is asked for where it belongs; `elsewhere` is what the format puts in place by itself.

    Raises:
        ProviderError: `cannot`: the format has no place for it.
    """
    for name in sorted(tuning.wanted - elsewhere):
        if name not in places:
            if tuning.optional:
                continue
            raise cannot(f"`{name}`")
        *parents, last = places[name].split(".")
        at = body
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = getattr(tuning, name)


def anthropic_thinking(tuning: Tuning, model: str, max_tokens: int) -> dict[str, Any]:
    """Anthropic's `thinking`, and `output_config` where an effort belongs there; nothing where nothing is asked for.

    Newer models decide by themselves how much they think, and take an effort in so many words
    (https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking). To older ones an effort is the share of
    the limit that OpenRouter documents for it.

    Raises:
        ProviderError: `cannot`: the limit leaves no room to think, or the model does not decide by itself.
    """
    if tuning.effort == "none":
        return {"thinking": {"type": "disabled"}}
    adapts = _ADAPTS.search(model) is not None
    if tuning.adaptive_thinking and not adapts:
        if tuning.optional:
            return {}
        raise cannot("`adaptive` thinking of this model")
    if adapts and tuning.thinking_tokens is None and (tuning.effort or tuning.adaptive_thinking):
        effort = {"output_config": {"effort": _EFFORTS.get(tuning.effort, tuning.effort)}} if tuning.effort else {}
        return {"thinking": {"type": "adaptive"}, **effort}
    tokens = tuning.thinking_tokens
    if tokens is None and tuning.effort is not None:
        tokens = max(_LEAST_THOUGHTS, int(max_tokens * _SHARES[tuning.effort]))
        if tokens >= max_tokens:
            if tuning.optional:
                return {}
            raise cannot(f"thoughts of at least {_LEAST_THOUGHTS} tokens in an answer of {max_tokens}")
    return {} if tokens is None else {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def google_thinking(tuning: Tuning, model: str) -> dict[str, Any]:
    """Gemini's `thinkingConfig`: a level from the third generation on, a number of tokens before.

    The numbers are those of Google's OpenAI-compatible endpoint: https://ai.google.dev/gemini-api/docs/openai#thinking.

    Raises:
        ProviderError: `cannot`: the model has no such effort.
    """
    effort = tuning.effort
    if effort is None:
        return {}
    third = "gemini-3" in model
    if effort in ("none", "xhigh", "max") if third else effort not in _BUDGETS:
        if tuning.optional:
            return {}
        raise cannot(f"the effort `{effort}`")
    return {"thinkingLevel": effort} if third else {"thinkingBudget": _BUDGETS[effort]}
