"""Vectors and rankings of vendors: the recorded exchanges, and the formats that no recording has, by documentation."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from support.http_server import Answer, LoopbackServer, loopback_server
from support.kind_cases import KINDS
from support.wire_cases import PROVIDERS, Replay, exchanges

from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers import default_factories
from signoff.catalog.models import ModelSpec
from signoff.core.schemas import validate

Make = Callable[[Any], Any]
OTHERS = [one for provider in PROVIDERS for one in exchanges(provider) if one["api"] in ("embeddings", "rerank")]


def _sent_vector(value: Any) -> list[float]:
    if isinstance(value, str):
        data = base64.b64decode(value)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    return list(value)


def _along(vector: Any, sent: Any) -> bool:
    """Whether they point the same way, and the first has length 1."""
    raw = _sent_vector(sent)
    length = sum(value * value for value in raw) ** 0.5
    return vector == pytest.approx([value / length for value in raw], abs=1e-6)


async def test_every_recorded_vector_and_ranking_is_read() -> None:
    assert len(OTHERS) == 17
    async with Replay() as replay:
        for exchange in OTHERS:
            provider = replay.provider(exchange)
            asked, response = exchange["request"]["body"], exchange["response"]
            body = json.loads(response["body_text"] or "{}")
            if exchange["api"] == "rerank":
                texts = [each if isinstance(each, str) else each["text"] for each in asked["documents"]]
                request = _ranking(texts, len(body["results"]))
                told = json.loads((await provider.complete(request)).text)["ranking"]
                wanted = [(each["index"], each["relevance_score"]) for each in body["results"]]
                assert [(each["index"], each["score"]) for each in told] == wanted
                assert replay.paths[-1] == "/v2/rerank"
                continue
            inputs = asked.get("texts") or asked["input"]
            texts = [inputs] if isinstance(inputs, str) else inputs
            if response["status"] != 200:
                with pytest.raises(ProviderError) as refused:
                    await provider.embed(texts)
                assert refused.value.kind == "setup"
                continue
            sent = body["embeddings"]["float"] if "embeddings" in body else [one["embedding"] for one in body["data"]]
            vectors = await provider.embed(texts)
            assert len(vectors) == len(sent)
            assert all(_along(*pair) for pair in zip(vectors, sent, strict=True))


def _ranking(texts: list[str], top: int) -> Any:
    return replace(KINDS["rerank"][0], variables={"query": "q", "texts": texts, "top": top})


def _answering(make: Make) -> Answer:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        data = json.dumps(make(json.loads(body))).encode()
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def _made(kind: str, server: LoopbackServer, **settings: Any) -> Any:
    members = {"model": "m", "api_key": "k", "base_url": server.url, **settings}
    return default_factories()[kind](ModelSpec("m", kind, members))


FORMATS: list[tuple[str, str, Make, Make, Mapping[str, Any]]] = [
    (
        "google",
        "/v1beta/models/m:batchEmbedContents",
        lambda body: {"embeddings": [{"values": [3.0, 4.0]} for _ in body["requests"]]},
        lambda body: [one["content"]["parts"][0]["text"] for one in body["requests"]],
        {"outputDimensionality": 2},
    ),
    (
        "cohere",
        "/v2/embed",
        lambda body: {"embeddings": {"float": [[3.0, 4.0] for _ in body["texts"]]}},
        lambda body: body["texts"],
        {"output_dimension": 2},
    ),
    (
        "ollama",
        "/api/embed",
        lambda body: {"embeddings": [[3.0, 4.0] for _ in body["input"]]},
        lambda body: body["input"],
        {"dimensions": 2},
    ),
    (
        "mistral",
        "/embeddings",
        lambda body: {"data": [{"index": at, "embedding": [3.0, 4.0]} for at, _ in enumerate(body["input"])]},
        lambda body: body["input"],
        {"output_dimension": 2},
    ),
]


@pytest.mark.parametrize(("kind", "path", "answer", "texts_of", "dimensions"), FORMATS, ids=[one[0] for one in FORMATS])
async def test_texts_beyond_a_requests_limit_are_sent_in_more_and_dimensions_are_asked_for(
    kind: str, path: str, answer: Any, texts_of: Any, dimensions: Mapping[str, Any]
) -> None:
    with loopback_server(_answering(answer)) as server:
        made = _made(kind, server, dimensions=2)
        texts = [f"text {number}" for number in range(600)]
        vectors = await made.embed(texts)
        await made.aclose()
    bodies = [json.loads(one.body) for one in server.received]
    assert {one.path for one in server.received} == {path}
    assert len(bodies) > 1
    assert [text for body in bodies for text in texts_of(body)] == texts
    assert len(vectors) == 600
    assert vectors[0] == pytest.approx([0.6, 0.8])
    named = bodies[0]["requests"][0] if kind == "google" else bodies[0]
    assert dimensions.items() <= named.items()


async def test_cohere_ranks_and_what_is_no_ranking_is_told() -> None:
    request, _ = KINDS["rerank"]
    answers: list[Any] = [
        {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]},
        {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 1, "relevance_score": 0.1}]},
        {"results": [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]},
        {"results": []},
    ]

    def next_one(_body: Any) -> Any:
        return answers.pop(0) if answers else {}

    with loopback_server(_answering(next_one)) as server:
        made = _made("cohere", server)
        ranked = json.loads((await made.complete(request)).text)
        assert ranked == {"ranking": [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}]}
        assert not validate(request.output_schema or {}, ranked)
        for _ in range(3):
            with pytest.raises(ProviderError) as caught:
                await made.complete(request)
            assert caught.value.kind == "unavailable"
        await made.aclose()
    with loopback_server(_answering(next_one)) as server:
        made = _made("google", server)
        with pytest.raises(ProviderError, match="does not rank"):
            await made.complete(request)
        with pytest.raises(ProviderError):
            await made.embed(["a"])
        await made.aclose()
