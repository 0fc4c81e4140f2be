"""`minilm`: embeddings, and classification from label descriptions and examples, in milliseconds on a CPU."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from signoff.capabilities.gateway.models_store import ModelStore
from signoff.capabilities.gateway.provider import ProviderError, ProviderReply, ProviderRequest
from signoff.catalog.models import ModelSpec
from signoff.core.errors import SignoffError
from signoff.core.ids import digest

if TYPE_CHECKING:
    from signoff.capabilities.gateway.providers.encoder import Encoder
    from signoff.capabilities.gateway.providers.fewshot import Classifier, Vector

MAX_EXAMPLES = 10_000
"""Examples of one classification: so many take a few minutes to read and to train on, once a process."""
MAX_CLASSIFIERS = 32
"""Trained classifiers that are kept, the least recently used dropped first."""
MODEL = "local/minilm"


class MiniLM:
    """all-MiniLM-L6-v2. The model is loaded at first use and shared by all instances of the process."""

    name = "minilm"
    tasks = frozenset({"classify", "embed", "rerank"})
    local = True
    repairable = False

    def __init__(self, spec: ModelSpec, store: ModelStore | None = None) -> None:
        self._spec = spec
        self._store = store or ModelStore()
        self._classifiers: OrderedDict[str, Classifier | Vector] = OrderedDict()
        self._training = threading.Lock()

    async def complete(self, request: ProviderRequest) -> ProviderReply:
        """The label that fits best: `{"label": …, "confidence": 0…1}`. It reads the variables that the examples have.

        Of `rerank` the texts by how well they fit the query, best first, as `ranking` says.

        Raises:
            ProviderError: the model is not on this machine, or the labels and examples do not fit each other.
        """
        if request.task == "rerank":
            return await self._rerank(request)
        if request.task != "classify":
            raise ProviderError("cannot", "minilm classifies, embeds and ranks only.")
        return await asyncio.to_thread(self._classify, request)

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Vectors of 384 numbers.

        Raises:
            ProviderError: the model is not on this machine.
        """
        from signoff.capabilities.gateway.providers.encoder import BATCH_SIZE  # noqa: PLC0415  (numpy)

        vectors: list[list[float]] = []
        # Batch by batch, so that a cancelled call stops soon and short ones get in between.
        for start in range(0, len(texts), BATCH_SIZE):
            batch, _ = await asyncio.to_thread(self._encode, texts[start : start + BATCH_SIZE])
            vectors.extend(batch.tolist())
        return vectors

    async def aclose(self) -> None:
        """Nothing to give back: the model stays for others."""

    async def _rerank(self, request: ProviderRequest) -> ProviderReply:
        from signoff.capabilities.gateway.providers.ranking import ranking  # noqa: PLC0415  (numpy)

        query, texts = str(request.variables["query"]), list[str](request.variables["texts"])
        vectors = await self.embed([query, *texts])
        ranked = await asyncio.to_thread(ranking, query, texts, vectors)
        answer = {"ranking": ranked[: request.variables.get("top", len(ranked))]}
        return ProviderReply(orjson.dumps(answer).decode())

    def _encode(self, texts: Sequence[str]) -> tuple[Vector, int]:
        return self._encoder().encode(texts)

    def _encoder(self) -> Encoder:
        from signoff.capabilities.gateway.providers.encoder import shared_encoder  # noqa: PLC0415  (numpy)

        try:
            return shared_encoder(self._store.locate(MODEL))
        except SignoffError as error:
            raise ProviderError("setup", error.detail) from None

    def _classify(self, request: ProviderRequest) -> ProviderReply:
        from signoff.capabilities.gateway.providers import fewshot  # noqa: PLC0415  (numpy)

        labels = _labels(request)
        text = _text(request.variables, request)
        learnt = self._learnt(labels, request)
        vectors, tokens = self._encode([text])
        if isinstance(learnt, fewshot.Classifier):
            probabilities = learnt.probabilities(vectors[0])
        else:
            probabilities = fewshot.zero_shot(vectors[0], learnt)
        best = int(probabilities.argmax())
        answer = {"label": list(labels)[best], "confidence": round(float(probabilities[best]), 4)}
        return ProviderReply(orjson.dumps(answer).decode(), input_tokens=tokens)

    def _learnt(self, labels: Mapping[str, str], request: ProviderRequest) -> Classifier | Vector:
        """The classifier of these labels and examples; the descriptions' vectors where there are no examples."""
        if len(request.examples) > MAX_EXAMPLES:
            raise ProviderError("setup", f"A classification may have {MAX_EXAMPLES} examples at most.")
        pairs = [(_text(example.input, request), str(example.output.get("label"))) for example in request.examples]
        key = digest(json.dumps([labels, pairs], sort_keys=True).encode())
        with self._training:
            learnt = self._classifiers.get(key)
            if learnt is None:
                learnt = self._learn(labels, pairs)
                self._classifiers[key] = learnt
                if len(self._classifiers) > MAX_CLASSIFIERS:
                    self._classifiers.popitem(last=False)
            self._classifiers.move_to_end(key)
        return learnt

    def _learn(self, labels: Mapping[str, str], pairs: Sequence[tuple[str, str]]) -> Classifier | Vector:
        import numpy as np  # noqa: PLC0415  (only where a model is used)

        from signoff.capabilities.gateway.providers import fewshot  # noqa: PLC0415  (numpy)

        names = list(labels)
        unknown = sorted({label for _, label in pairs} - set(names))
        if unknown:
            raise ProviderError("setup", f"Examples have the label '{unknown[0]}', which the prompt does not list.")
        described = [f"{name.replace('_', ' ')}: {about}" for name, about in labels.items()]
        if not pairs:
            return self._encode(described)[0]
        # The description stands in for a label without an example, so that every label can be answered.
        examples = [*pairs, *((text, name) for text, name in zip(described, names, strict=True) if _lacks(pairs, name))]
        vectors, _ = self._encode([text for text, _ in examples])
        indexes = np.array([names.index(label) for _, label in examples], dtype=np.int64)
        return fewshot.train(vectors, indexes, len(names))


def _lacks(pairs: Sequence[tuple[str, str]], name: str) -> bool:
    return all(label != name for _, label in pairs)


def _labels(request: ProviderRequest) -> Mapping[str, str]:
    """Labels with descriptions; from the output schema's `enum` where the prompt describes none."""
    if request.labels:
        return request.labels
    properties: Any = (request.output_schema or {}).get("properties", {})
    listed: list[Any] = properties.get("label", {}).get("enum", [])
    if not listed:
        raise ProviderError("setup", "A classification needs `labels` in the prompt.")
    return {str(label): str(label) for label in listed}


def _text(values: Mapping[str, Any], request: ProviderRequest) -> str:
    """The texts among the values as one; only those that the examples have too, so that like is compared with like."""
    keys = sorted(request.examples[0].input) if request.examples else sorted(values)
    return "\n".join(value for key in keys if isinstance(value := values.get(key), str))


def create(spec: ModelSpec) -> MiniLM:
    """The provider of one configured model."""
    return MiniLM(spec)
