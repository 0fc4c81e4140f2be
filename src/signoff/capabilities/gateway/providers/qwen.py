"""`qwen`: Qwen2.5-Coder-1.5B-Instruct on llama.cpp (xllamacpp), in this process, held to JSON by a grammar.

One model, one worker thread: a second call waits, in a bounded queue. Classifications write the label only; its
probability among the labels is the confidence: cheaper and more honest than a number that the model writes.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.chat import ChatEvent, ChatReply, ChatRequest, StreamEnd
from signoff.capabilities.gateway.model import FinishReason
from signoff.capabilities.gateway.models_store import ModelStore
from signoff.capabilities.gateway.provider import ProviderError, ProviderReply, ProviderRequest
from signoff.capabilities.gateway.providers.local_chat import WIRE, chat_body, chat_events
from signoff.capabilities.gateway.providers.prompting import in_turn, instructed, shown_schema
from signoff.capabilities.gateway.providers.wire.building import likelihood_of, logprobs_of
from signoff.catalog.models import ModelSpec
from signoff.core.errors import SignoffError

MODEL = "local/qwen"
MAX_WAITING = 16
"""Calls that may wait for the one model; more are told to come back."""
BUSY_RETRY_S = 5.0
"""What they are told to wait, in seconds."""
CONTEXT_TOKENS = 4_096
"""Prompt and answer together; a CPU reads about 50 tokens a second, so longer ones are no use."""
SLOTS = 2
"""Prompts whose beginnings stay read; calls still run one at a time."""
TOP_TOKENS = 20
"""Tokens whose probabilities the runtime reports."""
MAX_LABEL_TOKENS = 24
"""How long a label may be, in tokens."""
MAX_EXAMPLES = 8
"""Examples shown in a classification; the shared prefix is read once."""
UNGRAMMATICAL = frozenset({"pattern", "maxLength", "format"})
"""Schema keywords that the grammar cannot express, or expresses by cutting words; the gateway checks them."""


class Engine:
    """The loaded model and its one worker thread.

    Args:
        file: the model's.
        load: loads it, at its first use.
    """

    def __init__(self, file: Path, load: Callable[[Path], Any] | None = None) -> None:
        self._file = file
        self._load = load or _load
        self._server: Any = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="qwen")
        self._waiting = 0

    async def chat(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One chat completion in OpenAI's format.

        Raises:
            ProviderError: too many calls wait, the runtime is not installed, or the request is wrong.
        """
        self._enter()
        try:
            return await asyncio.wrap_future(self._worker.submit(self._chat, request))
        finally:
            self._waiting -= 1

    async def stream(self, request: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any]]:
        """One chat completion in OpenAI's format, in its chunks. Closing it stops the model at its next token.

        Raises:
            ProviderError: as `chat`.
        """
        self._enter()
        loop, left = asyncio.get_running_loop(), threading.Event()
        chunks: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()

        def told(chunk: Mapping[str, Any]) -> bool:
            if not left.is_set():
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            return left.is_set()

        try:
            asking = asyncio.wrap_future(self._worker.submit(self._asked, request, told))
            asking.add_done_callback(lambda _: chunks.put_nowait(None))
            try:
                while (chunk := await chunks.get()) is not None:
                    yield chunk
                await asking
            finally:
                left.set()
                # Who waits for the model is let go; who has it is stopped by `told`.
                asking.cancel()
        finally:
            self._waiting -= 1

    def _enter(self) -> None:
        if self._waiting >= MAX_WAITING:
            raise ProviderError("unavailable", "The local model is busy.", retry_after_s=BUSY_RETRY_S)
        self._waiting += 1

    def _asked(self, request: Mapping[str, Any], *told: Callable[[Mapping[str, Any]], bool]) -> Any:
        if self._server is None:
            self._server = self._load(self._file)
        try:
            return self._server.handle_chat_completions(dict(request), *told)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ProviderError(
                "rejected", f"The local model cannot take the request ({type(error).__name__})."
            ) from None

    def _chat(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        reply = self._asked(request)
        if "choices" not in reply:
            raise ProviderError("rejected", "The local model cannot take the request: it may be too long.")
        return cast("Mapping[str, Any]", reply)


_ENGINES: dict[Path, Engine] = {}
_MAKING = threading.Lock()


class Qwen:
    """The local language model. It is loaded at first use and shared by all instances of the process.

    Args:
        spec: its settings.
        store: where its file is.
        engine: runs it; by default the process's own for that file.
    """

    name = "qwen"
    tasks = frozenset({"classify", "extract", "generate"})
    local = True
    repairable = True

    def __init__(self, spec: ModelSpec, store: ModelStore | None = None, engine: Engine | None = None) -> None:
        self._spec = spec
        self._store = store or ModelStore()
        self._own = engine
        self.tunings = WIRE.tunings
        self._turns = asyncio.Semaphore(SLOTS)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """One call runs and the next one stands ready."""
        return self._turns

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
        if request.stop:
            body["stop"] = list(request.stop)
        if request.likelihood:
            body["logprobs"] = True
        if request.output_schema is not None:
            schema = _grammatical(shown_schema(request.output_schema))
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        reply = await self._engine().chat(body)
        choice = reply["choices"][0]
        finish_reason: FinishReason = "length" if choice.get("finish_reason") == "length" else "stop"
        return _reply(str(choice["message"].get("content") or ""), reply, finish_reason)

    async def chat(self, request: ChatRequest) -> ChatReply:
        """See `Chats`. It is streamed within, so that a call that is cancelled stops the model.

        Raises:
            ProviderError: as `complete`, or it broke off.
        """
        end: StreamEnd | None = None
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                end = event if isinstance(event, StreamEnd) else None
        assert end is not None
        if end.failure is not None:
            raise end.failure
        return end.reply

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """See `Chats`."""
        if request.output_schema is not None:
            request = replace(request, output_schema=_grammatical(shown_schema(request.output_schema)))
        async with aclosing(chat_events(chat_body(request, self.name), self._engine().stream)) as events:
            async for event in events:
                yield event

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:  # noqa: ARG002  (the protocol's signature)
        """Not with this model: `minilm` embeds.

        Raises:
            ProviderError: always.
        """
        raise ProviderError("cannot", "qwen does not embed; route `embed` to local/minilm.")

    async def aclose(self) -> None:
        """Nothing to give back: the model stays for others."""

    async def _classify(self, request: ProviderRequest) -> ProviderReply:
        """The most probable label, and its probability among the labels."""
        labels = list(request.labels)
        reply = await self._engine().chat(
            {
                "messages": _conversation(request),
                "max_tokens": MAX_LABEL_TOKENS,
                "temperature": 0,
                "logprobs": True,
                "top_logprobs": TOP_TOKENS,
                "grammar": "root ::= " + " | ".join(orjson.dumps(label).decode() for label in labels),
            }
        )
        label = str(reply["choices"][0]["message"].get("content") or "")
        if label not in request.labels:
            raise ProviderError("rejected", f"A label is longer than {MAX_LABEL_TOKENS} tokens.")
        answer = {"label": label, "confidence": round(_probability(reply, labels), 4)}
        return _reply(orjson.dumps(answer).decode(), reply, "stop")

    def _engine(self) -> Engine:
        if self._own is not None:
            return self._own
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
    parameters.n_ctx = SLOTS * CONTEXT_TOKENS
    # Two slots, so that alternating prompts (sort, then extract) each keep their prefix read.
    parameters.n_parallel = SLOTS
    parameters.verbosity = -1
    parameters.warmup = False
    # The runtime listens on a port of loopback whether asked or not; nobody knows this key.
    parameters.api_keys = [secrets.token_urlsafe(32)]
    parameters.ui = False
    try:
        return runtime.Server(parameters)
    except RuntimeError as error:
        raise ProviderError("setup", f"The local model cannot be loaded ({type(error).__name__}).") from None


def _conversation(request: ProviderRequest) -> list[dict[str, str]]:
    """The author's instructions and the labels; examples as turns, which small models follow best."""
    parts = [message.content for message in request.messages if message.role == "system"]
    parts.append("\n".join(f"{label}: {about}" for label, about in request.labels.items()))
    parts.append("Do not write JSON now: answer with the label that fits, and nothing else.")
    messages = [{"role": "system", "content": "\n\n".join(parts)}]
    for example in in_turn(request)[:MAX_EXAMPLES]:
        text = "\n".join(value for value in example.input.values() if isinstance(value, str))
        messages.append({"role": "user", "content": text})
        messages.append({"role": "assistant", "content": str(example.output.get("label", ""))})
    messages += [{"role": item.role, "content": item.content} for item in request.messages if item.role != "system"]
    return messages


def _probability(reply: Mapping[str, Any], labels: Sequence[str]) -> float:
    """The answer's probability among the labels: of each token among those that some label could go on with.

    The runtime reports probabilities before the grammar, over all tokens, so they are renormalised here.
    """
    reported: Any = reply["choices"][0].get("logprobs")
    tokens: list[dict[str, Any]] = reported["content"] if reported else []
    written, probability = "", 1.0
    for token in tokens:
        chosen = str(token["token"])
        going_on = {
            str(item["token"]): math.exp(float(item["logprob"]))
            for item in token["top_logprobs"]
            if item["token"] and any(label.startswith(written + str(item["token"])) for label in labels)
        }
        weight = math.exp(float(token["logprob"]))
        others = sum(value for name, value in going_on.items() if not _same_way(written, name, chosen, labels))
        if weight + others > 0.0:
            probability *= weight / (weight + others)
        written += chosen
    return probability


def _same_way(written: str, one: str, other: str, labels: Sequence[str]) -> bool:
    """Whether two tokens lead to the same labels: `ref` and `refund` are no alternatives to each other."""

    def reached(token: str) -> set[str]:
        return {label for label in labels if label.startswith(written + token)}

    return one == other or reached(one) == reached(other)


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
    said: Any = reply["choices"][0].get("logprobs") or {}
    return ProviderReply(text, *tokens, finish_reason, likelihood_of(logprobs_of(said.get("content"))))


def create(spec: ModelSpec) -> Qwen:
    """The provider of one configured model."""
    return Qwen(spec)
