"""Classification by few examples: the maths without a model, and the real model where it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.capabilities.gateway import ProviderError, ProviderRequest
from signoff.capabilities.gateway.models_store import ModelStore
from signoff.capabilities.gateway.providers import fewshot
from signoff.capabilities.gateway.providers.minilm import MiniLM
from signoff.catalog.models import ModelSpec
from signoff.catalog.prompts import Example

SPEC = ModelSpec("local/minilm", "minilm")


def unit(rows: Any) -> fewshot.Vector:
    array = np.asarray(rows, dtype=np.float64)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def clouds(seed: int, count: int, label_count: int) -> tuple[fewshot.Vector, fewshot.Indexes]:
    """Vectors around one axis per label, and their labels."""
    noise = np.random.default_rng(seed).normal(0.0, 0.2, (count, 16))
    labels = np.arange(count) % label_count
    return unit(np.eye(16)[labels] + noise), labels


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_clear_examples_are_learnt(seed: int, label_count: int):
    embeddings, labels = clouds(seed, 6 * label_count, label_count)
    classifier = fewshot.train(embeddings, labels, label_count)
    unseen, truth = clouds(seed + 1, 20, label_count)
    probabilities = np.array([classifier.probabilities(vector) for vector in unseen])
    assert np.allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities >= 0).all()
    assert (probabilities.argmax(axis=1) == truth).mean() >= 0.9


def test_what_resembles_nothing_is_drawn_to_chance():
    embeddings, labels = clouds(1, 20, 2)
    classifier = fewshot.train(embeddings, labels, 2)
    far = unit(-embeddings.mean(axis=0))
    assert classifier.probabilities(far).max() < 0.51


def test_examples_that_contradict_each_other_make_it_unsure():
    clear, labels = clouds(2, 20, 2)
    confused = np.roll(labels, 1) * (np.arange(20) % 3 == 0) + labels * (np.arange(20) % 3 != 0)
    sure = fewshot.train(clear, labels, 2).probabilities(clear[0]).max()
    unsure = fewshot.train(clear, confused, 2).probabilities(clear[0]).max()
    assert unsure < sure


def test_one_example_a_label_is_enough_to_answer():
    embeddings, labels = clouds(3, 2, 2)
    probabilities = fewshot.train(embeddings, labels, 2).probabilities(embeddings[0])
    assert probabilities.argmax() == 0
    assert probabilities.max() < 0.9, "one example each says little about how often it is right"


def test_the_same_examples_give_the_same_classifier():
    embeddings, labels = clouds(4, 12, 3)
    one, two = (fewshot.train(embeddings, labels, 3).probabilities(embeddings[5]) for _ in range(2))
    assert np.array_equal(one, two)


async def test_a_missing_model_names_the_command(tmp_path: Path):
    provider = MiniLM(SPEC, ModelStore(tmp_path))
    with pytest.raises(ProviderError, match="signoff models pull local/minilm") as caught:
        await provider.embed(["a"])
    assert caught.value.kind == "setup"


def request(text: str, examples: Sequence[Example] = ()) -> ProviderRequest:
    labels = {"refund": "asks for money back", "other": "asks something else"}
    return ProviderRequest("classify", (), None, 10, 10.0, variables={"text": text}, labels=labels, examples=examples)


EXAMPLES = tuple(
    Example({"text": text}, {"label": label})
    for label, texts in {
        "refund": ("Please give me my money back", "I want a refund for this", "Refund my order", "Return my payment"),
        "other": (
            "How do I change my PIN?",
            "My card has not arrived",
            "What is the exchange rate?",
            "Close my account",
        ),
    }.items()
    for text in texts
)


@pytest.mark.models
class TestModel:
    async def test_examples_decide(self):
        provider = MiniLM(SPEC)
        for text, label in (("could I be refunded, please?", "refund"), ("where is my card", "other")):
            answer = json.loads((await provider.complete(request(text, examples=EXAMPLES))).text)
            assert answer["label"] == label
            assert 0.5 < answer["confidence"] <= 1.0

    async def test_nonsense_is_unsure(self):
        answer = json.loads((await MiniLM(SPEC).complete(request("xq zzv 9 wpl", examples=EXAMPLES))).text)
        assert answer["confidence"] < 0.7

    async def test_descriptions_alone_are_humble(self):
        answer = json.loads((await MiniLM(SPEC).complete(request("give me my money back"))).text)
        assert answer["label"] == "refund"
        assert answer["confidence"] < 0.98

    async def test_empty_and_long_texts_are_answered(self):
        for text in ("", "refund " * 5_000):
            assert json.loads((await MiniLM(SPEC).complete(request(text, examples=EXAMPLES))).text)["label"]

    async def test_an_example_with_an_unlisted_label_is_named(self):
        wrong = (*EXAMPLES, Example({"text": "x"}, {"label": "parcel"}))
        with pytest.raises(ProviderError, match="parcel"):
            await MiniLM(SPEC).complete(request("x", examples=wrong))

    async def test_like_texts_are_near(self):
        cat, kitten, tax = await MiniLM(SPEC).embed(["a cat on a mat", "a kitten on a rug", "the tax office"])
        assert np.dot(cat, kitten) > np.dot(cat, tax) + 0.2
