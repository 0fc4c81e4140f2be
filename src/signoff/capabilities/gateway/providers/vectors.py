"""Vectors and rankings by vendors' own endpoints, beside their chats."""

from __future__ import annotations

import asyncio
import base64
import math
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from signoff.capabilities.gateway.provider import ProviderError, ProviderReply, ProviderRequest
from signoff.capabilities.gateway.providers.vendors import Endpoint, Vendor
from signoff.capabilities.gateway.providers.wire.building import count, items, members
from signoff.capabilities.gateway.providers.wire.errors import not_its_format
from signoff.capabilities.gateway.providers.wire.reading import Wire
from signoff.catalog.models import ModelSpec
from signoff.core.values import value

AT_ONCE = 4
"""Requests of one call that are on their way together, to models that take one text a request."""


@value
class VectorFormat:
    """How a vendor is asked for vectors.

    Attributes:
        url: where.
        most: texts of one request at most, by the vendor's documentation.
        body: of a request, for a model, texts and how many numbers a vector shall have (none leaves it to the model).
        read: the vectors of an answer, in the order of the texts, each an array of numbers or their bytes as base64.
        most_characters: of all texts of one request together; one longer text is sent alone.
    """

    url: str
    most: int
    body: Callable[[str, Sequence[str], int | None], Mapping[str, Any]]
    read: Callable[[Mapping[str, Any]], Sequence[Any]]
    most_characters: int = sys.maxsize

    def batches(self, texts: Sequence[str]) -> list[list[str]]:
        """The texts as requests take them, in their order."""
        found: list[list[str]] = []
        size = 0
        for text in texts:
            size += len(text)
            if not found or len(found[-1]) >= self.most or size > self.most_characters:
                found.append([])
                size = len(text)
            found[-1].append(text)
        return found


class VectorVendor(Vendor):
    """A vendor whose API makes vectors, and maybe ranks texts.

    Args:
        spec: its settings; `dimensions` says how many numbers a vector shall have, where the model leaves a choice.
        wire, endpoint: of its chats.
        vectors: how it is asked for vectors; none where it makes none.
        rank_url: where it ranks, in Cohere's format; none where it does not.
    """

    def __init__(
        self, spec: ModelSpec, wire: Wire, endpoint: Endpoint, vectors: VectorFormat | None, *, rank_url: str = ""
    ) -> None:
        super().__init__(spec, wire, endpoint)
        self._vectors = vectors
        self._rank_url = rank_url
        self._dimensions: int | None = spec.settings.get("dimensions")
        more = {"embed"} if vectors else set[str]()
        self.tasks = self.tasks | more | ({"rerank"} if rank_url else set[str]())

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Vectors of length 1, made in as many requests as the vendor's limit demands.

        Raises:
            ProviderError: no answer, or not as many vectors as texts.
        """
        form = self._vectors
        if form is None:
            return await super().embed(texts)
        batches, found = form.batches(texts), list[list[float]]()
        at_once = AT_ONCE if form.most == 1 else 1
        for start in range(0, len(batches), at_once):
            try:
                async with asyncio.TaskGroup() as group:
                    wave = [group.create_task(self._made(form, batch)) for batch in batches[start : start + at_once]]
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
            found += [vector for vectors in wave for vector in vectors.result()]
        return found

    async def _made(self, form: VectorFormat, batch: Sequence[str]) -> list[list[float]]:
        answer, _ = await self.post(form.url, form.body(self.model_name, batch, self._dimensions))
        vectors = [unit(vector) for vector in form.read(answer)]
        if len(vectors) != len(batch):
            raise not_its_format()
        return vectors

    async def complete(self, request: ProviderRequest) -> ProviderReply:
        """A task, as one chat; a ranking by its own endpoint."""
        if request.task != "rerank":
            return await super().complete(request)
        if not self._rank_url:
            raise ProviderError("cannot", f"{self.name} does not rank.")
        texts = list[str](request.variables["texts"])
        top = min(int(request.variables.get("top", len(texts))), len(texts))
        asked = {"model": self.model_name, "query": request.variables["query"], "documents": texts, "top_n": top}
        answer, _ = await self.post(self._rank_url, asked)
        ranking = [_ranked(item, len(texts)) for item in items(answer.get("results"))]
        if len(ranking) != top or len({each["index"] for each in ranking}) != top:
            raise not_its_format()
        tokens = members(members(answer.get("meta")).get("tokens"))
        return ProviderReply(orjson.dumps({"ranking": ranking}).decode(), count(tokens.get("input_tokens")))


def _ranked(item: Mapping[str, Any], texts: int) -> dict[str, Any]:
    index, score = item.get("index"), item.get("relevance_score")
    if not isinstance(index, int) or not isinstance(score, int | float) or not 0 <= index < texts:
        raise not_its_format()
    return {"index": index, "score": min(max(float(score), 0.0), 1.0)}


def unit(vector: Any) -> list[float]:
    """A vector made as long as 1; one that comes as bytes in base64 is of 32-bit numbers.

    Raises:
        ProviderError: it is none.
    """
    try:
        if isinstance(vector, str):
            data = base64.b64decode(vector, validate=True)
            vector = struct.unpack(f"<{len(data) // 4}f", data)
        length = math.sqrt(sum(value * value for value in vector)) or 1.0
        return [value / length for value in vector]
    except (TypeError, ValueError, struct.error):
        raise not_its_format() from None


def openai_vectors(url: str) -> VectorFormat:
    """https://platform.openai.com/docs/api-reference/embeddings, and all who speak it."""

    def body(model: str, texts: Sequence[str], dimensions: int | None) -> Mapping[str, Any]:
        asked = {"model": model, "input": list(texts), "encoding_format": "float"}
        return asked if dimensions is None else {**asked, "dimensions": dimensions}

    def read(answer: Mapping[str, Any]) -> Sequence[Any]:
        found = sorted(items(answer.get("data")), key=lambda item: count(item.get("index")))
        return [item.get("embedding") for item in found]

    return VectorFormat(url, 2_048, body, read)


def mistral_vectors(url: str) -> VectorFormat:
    """https://docs.mistral.ai/api/endpoint/embeddings: it calls the number of dimensions otherwise."""
    form = openai_vectors(url)

    def body(model: str, texts: Sequence[str], dimensions: int | None) -> Mapping[str, Any]:
        asked = {"model": model, "input": list(texts)}
        return asked if dimensions is None else {**asked, "output_dimension": dimensions}

    return VectorFormat(url, 512, body, form.read)


def cohere_vectors(url: str) -> VectorFormat:
    """https://docs.cohere.com/reference/embed: queries and documents alike, so that vectors of both compare."""

    def body(model: str, texts: Sequence[str], dimensions: int | None) -> Mapping[str, Any]:
        asked = {
            "model": model,
            "texts": list(texts),
            "input_type": "search_document",
            "embedding_types": ["float"],
        }
        return asked if dimensions is None else {**asked, "output_dimension": dimensions}

    def read(answer: Mapping[str, Any]) -> Sequence[Any]:
        found: Any = members(answer.get("embeddings")).get("float")
        return found if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType]  (read by `unit`)

    return VectorFormat(url, 96, body, read)


def google_vectors(url: str, path: str) -> VectorFormat:
    """https://ai.google.dev/api/embeddings: many texts are a batch of requests, each naming the model again."""

    def body(model: str, texts: Sequence[str], dimensions: int | None) -> Mapping[str, Any]:  # noqa: ARG001  (the path names it)
        more = {} if dimensions is None else {"outputDimensionality": dimensions}
        return {"requests": [{"model": path, "content": {"parts": [{"text": text}]}, **more} for text in texts]}

    def read(answer: Mapping[str, Any]) -> Sequence[Any]:
        return [item.get("values") for item in items(answer.get("embeddings"))]

    return VectorFormat(url, 100, body, read)


def vertex_vectors(url: str, model: str) -> VectorFormat:
    """https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api.

    Of documents and queries alike, so that vectors of both compare. 250 texts and 20,000 tokens a request at most;
    Gemini's models take one text. A text that is too long is an error: cut silently, its end would not be found.
    """

    def body(model: str, texts: Sequence[str], dimensions: int | None) -> Mapping[str, Any]:  # noqa: ARG001  (the path names it)
        more = {} if dimensions is None else {"outputDimensionality": dimensions}
        return {
            "instances": [{"content": text, "task_type": "RETRIEVAL_DOCUMENT"} for text in texts],
            "parameters": {"autoTruncate": False, **more},
        }

    def read(answer: Mapping[str, Any]) -> Sequence[Any]:
        return [members(item.get("embeddings")).get("values") for item in items(answer.get("predictions"))]

    return VectorFormat(url, 1 if "gemini" in model else 250, body, read, most_characters=40_000)


def bedrock_vectors(url: str, model: str) -> VectorFormat | None:
    """By `invoke`, with the body of the model's maker; none where it is no model of Amazon's or Cohere's for texts.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html: one text a request;
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html: as Cohere, without the model.
    """
    if "titan-embed-text" in model:
        return VectorFormat(url, 1, _titan_body, lambda answer: [answer.get("embedding")])
    if "cohere.embed" not in model:
        return None
    form = cohere_vectors(url)

    def body(model: str, texts: Sequence[str], dimensions: int | None) -> Mapping[str, Any]:
        return {name: value for name, value in form.body(model, texts, dimensions).items() if name != "model"}

    return VectorFormat(url, form.most, body, form.read)


def _titan_body(model: str, texts: Sequence[str], dimensions: int | None) -> Mapping[str, Any]:  # noqa: ARG001  (the path names it)
    asked: dict[str, Any] = {"inputText": texts[0]}
    return asked if dimensions is None else {**asked, "dimensions": dimensions}


def ollama_vectors(url: str) -> VectorFormat:
    """https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings."""

    def body(model: str, texts: Sequence[str], dimensions: int | None) -> Mapping[str, Any]:
        asked: dict[str, Any] = {"model": model, "input": list(texts)}
        return asked if dimensions is None else {**asked, "dimensions": dimensions}

    def read(answer: Mapping[str, Any]) -> Sequence[Any]:
        found: Any = answer.get("embeddings")
        return found if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType]  (read by `unit`)

    return VectorFormat(url, 512, body, read)
