"""A provider that answers from a script: for tests of workflows without a model."""

from __future__ import annotations

import hashlib
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from signoff.capabilities.gateway import ProviderError, ProviderReply, ProviderRequest
from signoff.catalog.models import ModelSpec

EMBEDDING_SIZE = 384
"""As many numbers as the real embedder gives, so that indexes fit both."""

Said = str | Mapping[str, Any] | ProviderReply | ProviderError
"""One answer: text as it is, an object as JSON, a whole reply, or a failure to raise."""
Answer = Said | Callable[[ProviderRequest], Said | Awaitable[Said]]
"""An answer, or a function of the request that gives one; it may wait, so that a test decides when the answer comes."""

ALL_TASKS = frozenset({"classify", "extract", "generate", "embed"})


class ScriptedProvider:
    """Answers in order, records what it was asked, fails on demand.

    Args:
        answers: what to answer, one per call. A call beyond the last fails, unless `repeat` is set.
        repeat: whether the last answer is given again and again.
        name: the provider kind it plays.
        local: whether it is free and private, as policy sees it.
        repairable: whether the gateway may ask it to correct an answer.
        tasks: what it does.
        input_tokens: what each call is said to have read.
        output_tokens: what each call is said to have written.

    Attributes:
        requests: every completion request, in order.
        embedded: every text that was embedded, in order.
    """

    def __init__(
        self,
        answers: Iterable[Answer] = (),
        *,
        repeat: bool = False,
        name: str = "scripted",
        local: bool = True,
        repairable: bool = True,
        tasks: Iterable[str] = ALL_TASKS,
        input_tokens: int = 10,
        output_tokens: int = 5,
    ) -> None:
        self.name = name
        self.local = local
        self.repairable = repairable
        self.tasks = frozenset(tasks)
        self.requests: list[ProviderRequest] = []
        self.embedded: list[str] = []
        self._answers = list(answers)
        self._repeat = repeat
        self._tokens = (input_tokens, output_tokens)

    def factory(self, spec: ModelSpec) -> ScriptedProvider:  # noqa: ARG002  (the signature of all factories)
        """Itself, for `Gateway(factories={"scripted": provider.factory})`."""
        return self

    async def complete(self, request: ProviderRequest) -> ProviderReply:
        """The script's next answer.

        Raises:
            ProviderError: the script says so, or has ended.
        """
        self.requests.append(request)
        index = len(self.requests) - 1
        if index >= len(self._answers):
            if not (self._repeat and self._answers):
                raise ProviderError("rejected", f"The script has {len(self._answers)} answers; this is one call more.")
            index = -1
        return self._reply(await _said(self._answers[index], request))

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Vectors of hashed words: texts that share words are near each other, without a model."""
        self.embedded.extend(texts)
        return [_hashed(text) for text in texts]

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _reply(self, said: Said) -> ProviderReply:
        if isinstance(said, ProviderError):
            raise said
        if isinstance(said, ProviderReply):
            return said
        text = said if isinstance(said, str) else orjson.dumps(dict(said)).decode()
        return ProviderReply(text, *self._tokens)


async def _said(answer: Answer, request: ProviderRequest) -> Said:
    if not callable(answer):
        return answer
    said = answer(request)
    return await said if inspect.isawaitable(said) else said


def _hashed(text: str) -> list[float]:
    vector = [0.0] * EMBEDDING_SIZE
    for word in re.findall(r"\w+", text.lower()) or [""]:
        place = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) % EMBEDDING_SIZE
        vector[place] += 1.0
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]
