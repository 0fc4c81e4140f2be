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


VERTEX = {"project": "acme", "location": "europe-west4", "access_token": "t"}
BEDROCK = {"region": "eu-central-1", "access_key_id": "a", "secret_access_key": "s", "api_key": None}


def _titan(body: Any) -> Any:
    # By the user guide of Bedrock, "Amazon Titan Text Embeddings": one text, no list.
    assert set(body) <= {"inputText", "dimensions", "normalize"}
    number = float(body["inputText"].rsplit(" ", 1)[1])
    return {"embedding": [number, 1.0], "inputTextTokenCount": 3}


def _bedrock_cohere(body: Any) -> Any:
    assert "model" not in body, "the address names it"
    assert body["input_type"] == "search_document"
    listed = [[float(text.rsplit(" ", 1)[1]), 1.0] for text in body["texts"]]
    asked = body.get("embedding_types")
    return {"embeddings": {"float": listed} if asked else listed, "response_type": "embeddings_by_type", "id": "x"}


def _vertex(body: Any) -> Any:
    # By Vertex AI's reference of the text embeddings API.
    assert body["parameters"]["autoTruncate"] is False
    listed = [[float(one["content"].rsplit(" ", 1)[1]), 1.0] for one in body["instances"]]
    assert {one["task_type"] for one in body["instances"]} == {"RETRIEVAL_DOCUMENT"}
    return {"predictions": [{"embeddings": {"values": values, "statistics": {"token_count": 2}}} for values in listed]}


CLOUDS: list[tuple[str, str, Mapping[str, Any], Any, str, int, tuple[str, str]]] = [
    (
        "bedrock",
        "amazon.titan-embed-text-v2:0",
        BEDROCK,
        _titan,
        "/model/amazon.titan-embed-text-v2%3A0/invoke",
        30,
        ("", "dimensions"),
    ),
    (
        "bedrock",
        "eu.cohere.embed-v4:0",
        BEDROCK,
        _bedrock_cohere,
        "/model/eu.cohere.embed-v4%3A0/invoke",
        1,
        ("", "output_dimension"),
    ),
    (
        "google_vertex",
        "text-embedding-005",
        VERTEX,
        _vertex,
        "/v1beta1/projects/acme/locations/europe-west4/publishers/google/models/text-embedding-005:predict",
        1,
        ("parameters", "outputDimensionality"),
    ),
    (
        "google_vertex",
        "gemini-embedding-001",
        VERTEX,
        _vertex,
        "/v1beta1/projects/acme/locations/europe-west4/publishers/google/models/gemini-embedding-001:predict",
        30,
        ("parameters", "outputDimensionality"),
    ),
]


@pytest.mark.parametrize(
    ("kind", "model", "settings", "answer", "path", "requests", "place"), CLOUDS, ids=[one[1] for one in CLOUDS]
)
async def test_clouds_make_vectors_by_their_own_calls(  # noqa: PLR0917  (one row of the table)
    kind: str, model: str, settings: Mapping[str, Any], answer: Any, path: str, requests: int, place: tuple[str, str]
) -> None:
    with loopback_server(_answering(answer)) as server:
        made = _made(kind, server, model=model, dimensions=256, **settings)
        assert "embed" in made.tasks
        vectors = await made.embed([f"text {number}" for number in range(30)])
        await made.aclose()
    assert {one.path for one in server.received} == {path}
    assert len(server.received) == requests
    # In the order of the texts, though several requests were on their way together.
    assert [vector[0] / vector[1] for vector in vectors] == pytest.approx(list(range(30)))
    body = json.loads(server.received[0].body)
    within, name = place
    assert (body[within] if within else body)[name] == 256
    if kind == "bedrock":
        assert all("AWS4-HMAC-SHA256" in str(one.headers) for one in server.received)


async def test_vertex_is_sent_no_more_at_once_than_it_takes() -> None:
    with loopback_server(_answering(_vertex)) as server:
        made = _made("google_vertex", server, model="text-embedding-005", **VERTEX)
        await made.embed([f"{'word ' * 3_000} {number}" for number in range(5)])
        await made.aclose()
    assert [len(json.loads(one.body)["instances"]) for one in server.received] == [2, 2, 1]


async def test_a_bedrock_model_that_makes_no_vectors_says_so() -> None:
    with loopback_server(_answering(_titan)) as server:
        made = _made("bedrock", server, model="eu.anthropic.claude-sonnet-4-5-20250929-v1:0", **BEDROCK)
        assert "embed" not in made.tasks
        with pytest.raises(ProviderError, match="bedrock does not embed") as caught:
            await made.embed(["a"])
        await made.aclose()
    assert caught.value.kind == "cannot"
