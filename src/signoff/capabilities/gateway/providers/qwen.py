"""`qwen`: Qwen2.5-Coder-1.5B-Instruct on llama.cpp (xllamacpp), in this process, held to JSON by a grammar.

One model, one worker thread: a second call waits, in a bounded queue. Classifications answer one letter, whose
probability among the letters is the confidence: cheaper and more honest than a number that the model writes.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from string import ascii_uppercase
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.model import FinishReason
from signoff.capabilities.gateway.models_store import ModelStore
from signoff.capabilities.gateway.provider import ProviderError, ProviderReply, ProviderRequest
from signoff.capabilities.gateway.providers.prompting import balanced_examples, instructed, shown_schema
from signoff.catalog.models import ModelSpec
from signoff.core.errors import SignoffError

MODEL = "local/qwen"
MAX_WAITING = 16
"""Calls that may wait for the one model; more are told to come back."""
BUSY_RETRY_S = 5.0
"""What they are told to wait, in seconds."""
CONTEXT_TOKENS = 4_096
"""Prompt and answer together; a CPU reads about 50 tokens a second, so longer ones are no use."""
MAX_LABELS = 20
"""Labels of one classification: as many as the runtime gives probabilities for."""
MAX_EXAMPLES = 8
"""Examples shown in a classification; the shared prefix is read once."""
UNGRAMMATICAL = frozenset({"pattern", "maxLength", "format"})
"""Schema keywords that the grammar cannot express, or expresses by cutting words; the gateway checks them."""


class Engine:
    """The loaded model and its one worker thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._server: Any = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="qwen")
        self._waiting = 0

    async def chat(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One chat completion in OpenAI's format.

        Raises:
            ProviderError: too many calls wait, the runtime is not installed, or the request is wrong.
        """
        if self._waiting >= MAX_WAITING:
            raise ProviderError("unavailable", "The local model is busy.", retry_after_s=BUSY_RETRY_S)
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._worker.submit(self._chat, request))
        finally:
            self._waiting -= 1

    def _chat(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._server is None:
            self._server = _load(self._file)
        try:
            reply: Any = self._server.handle_chat_completions(dict(request))
        except (RuntimeError, ValueError, TypeError) as error:
            raise ProviderError(
                "rejected", f"The local model cannot take the request ({type(error).__name__})."
            ) from None
        if "choices" not in reply:
            raise ProviderError("rejected", "The local model cannot take the request: it may be too long.")
        return cast("Mapping[str, Any]", reply)


_ENGINES: dict[Path, Engine] = {}
_MAKING = threading.Lock()


class Qwen:
    """The local language model. It is loaded at first use and shared by all instances of the process."""

    name = "qwen"
    tasks = frozenset({"classify", "extract", "generate"})
    local = True
    repairable = True

    def __init__(self, spec: ModelSpec, store: ModelStore | None = None) -> None:
        self._spec = spec
        self._store = store or ModelStore()

    async def complete(self, request: ProviderRequest) -> ProviderReply:
        """One answer; cancelling drops a waiting call, while one that has begun ends in the background.

        Raises:
            ProviderError: the model or its runtime is not on this machine, or it is busy.
        """
        if request.task == "classify" and request.labels:
            return await self._classify(request)
        messages = instructed(request, show_schema=True)
        body: dict[str, Any] = {
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": request.max_output_tokens,
            "temperature": 0,
        }
        if request.output_schema is not None:
            schema = _grammatical(shown_schema(request.output_schema))
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        reply = await self._engine().chat(body)
        choice = reply["choices"][0]
        finish_reason: FinishReason = "length" if choice.get("finish_reason") == "length" else "stop"
        return _reply(str(choice["message"].get("content") or ""), reply, finish_reason)

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:  # noqa: ARG002  (the protocol's signature)
        """Not with this model: `minilm` embeds.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("cannot", "qwen does not embed; route `embed` to local/minilm.")

    async def aclose(self) -> None:
        """Nothing to give back: the model stays for others."""

    async def _classify(self, request: ProviderRequest) -> ProviderReply:
        """The most probable letter, and its probability among the letters."""
        labels = list(request.labels)
        if len(labels) > MAX_LABELS:
            raise ProviderError("cannot", f"qwen classifies into {MAX_LABELS} labels at most.")
        letters = ascii_uppercase[: len(labels)]
        messages = [{"role": "system", "content": _question(request, letters)}]
        messages += [{"role": item.role, "content": item.content} for item in request.messages if item.role != "system"]
        reply = await self._engine().chat(
            {
                "messages": messages,
                "max_tokens": 1,
                "temperature": 0,
                "logprobs": True,
                "top_logprobs": MAX_LABELS,
                "grammar": "root ::= " + " | ".join(f'"{letter}"' for letter in letters),
            }
        )
        probabilities = _letter_probabilities(reply, letters)
        best = max(letters, key=lambda letter: probabilities[letter])
        answer = {"label": labels[letters.index(best)], "confidence": round(probabilities[best], 4)}
        return _reply(orjson.dumps(answer).decode(), reply, "stop")

    def _engine(self) -> Engine:
        try:
            directory = self._store.locate(MODEL)
        except SignoffError as error:
            raise ProviderError("setup", error.detail) from None
        file = directory / self._store.state(MODEL).model.files[0].name
        with _MAKING:
            if file not in _ENGINES:
                _ENGINES[file] = Engine(file)
            return _ENGINES[file]


def _load(file: Path) -> Any:
    try:
        runtime: Any = import_module("xllamacpp")
    except ImportError:
        raise ProviderError(
            "setup", "The local language model needs its runtime: pip install 'signoff[local-llm]'."
        ) from None
    parameters = runtime.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.verbosity = -1
    parameters.warmup = False
    # The runtime listens on a port of loopback whether asked or not; nobody knows this key.
    parameters.api_keys = [secrets.token_urlsafe(32)]
    parameters.ui = False
    try:
        return runtime.Server(parameters)
    except RuntimeError as error:
        raise ProviderError("setup", f"The local model cannot be loaded ({type(error).__name__}).") from None


def _question(request: ProviderRequest, letters: str) -> str:
    """The author's instructions, then the labels as letters, so that one token answers."""
    names = dict(zip(request.labels, letters, strict=True))
    parts = [message.content for message in request.messages if message.role == "system"]
    parts.append("\n".join(f"{names[label]} = {label}: {about}" for label, about in request.labels.items()))
    lines = [f"{text} -> {names[label]}" for text, label in balanced_examples(request, MAX_EXAMPLES) if label in names]
    parts.append("\n".join(lines))
    parts.append("Do not write JSON now. Answer with the one letter of the label that fits, nothing else.")
    return "\n\n".join(part for part in parts if part)


def _letter_probabilities(reply: Mapping[str, Any], letters: str) -> dict[str, float]:
    """Probabilities among the letters: the runtime reports them before the grammar, over all tokens."""
    try:
        listed: list[dict[str, Any]] = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    except (LookupError, TypeError):
        raise ProviderError("unavailable", "The local model gave no probabilities.") from None
    weights = dict.fromkeys(letters, 0.0)
    for item in listed:
        letter = str(item["token"]).strip()
        if letter in weights:
            weights[letter] += math.exp(float(item["logprob"]))
    total = sum(weights.values())
    if total <= 0.0:
        raise ProviderError("unavailable", "The local model gave no letter any probability.")
    return {letter: weight / total for letter, weight in weights.items()}


def _grammatical(schema: Mapping[str, Any]) -> dict[str, Any]:
    def kept(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _grammatical(cast("Mapping[str, Any]", value))
        if isinstance(value, list):
            return [kept(item) for item in cast("list[Any]", value)]
        return value

    return {key: kept(value) for key, value in schema.items() if key not in UNGRAMMATICAL or isinstance(value, Mapping)}


def _reply(text: str, reply: Mapping[str, Any], finish_reason: FinishReason) -> ProviderReply:
    usage: Mapping[str, Any] = reply.get("usage") or {}
    tokens = (int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))
    return ProviderReply(text, *tokens, finish_reason)


def create(spec: ModelSpec) -> Qwen:
    """The provider of one configured model."""
    return Qwen(spec)
