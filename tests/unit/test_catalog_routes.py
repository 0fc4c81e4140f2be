"""Routes of models.yaml: what they may say, and what is told of mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from signoff.catalog.models import Canary, ModelsConfig, Requires
from signoff.catalog.parsing.fields import Fields, Report
from signoff.catalog.parsing.models import parse_models
from signoff.core.errors import Problem
from signoff.core.labels import DataClass
from signoff.workflows.documents import Node

MODELS: dict[str, Any] = {
    "a": {"provider": "openai_compatible", "model": "a", "region": "eu", "data_class": "internal"},
    "b": {"provider": "openai_compatible", "model": "b", "quality": {"chat": 0.9}, "timeouts": {"first_token_s": 5}},
    "c": {"provider": "minilm"},
}
FULL: dict[str, Any] = {
    "name": "careful",
    "task": "chat",
    "use": ["a"],
    "requires": {"modalities": ["image"], "capabilities": ["tools"], "context_tokens": 8000},
    "region": "eu",
    "prefer": "price",
    "weights": {"a": 2},
    "canary": {"model": "b", "share": 0.1},
    "latency_s": 2,
    "pin": "a",
}


def parsed(route: dict[str, Any], models: dict[str, Any] | None = None) -> tuple[ModelsConfig, list[Problem]]:
    problems: list[Problem] = []
    node = Node("mapping", (), 1, 1)
    document = {"models": models or MODELS, "routes": [route]}
    return parse_models(Fields(Report("models.yaml", node, problems), document)), problems


def test_a_route_says_all_it_may_say():
    config, problems = parsed(FULL)
    assert problems == []
    route = config.routes[0]
    assert route.requires == Requires(frozenset({"image"}), frozenset({"tools"}), 8000)
    assert (route.prefer, route.weights, route.canary, route.pin) == ("price", {"a": 2.0}, Canary("b", 0.1), "a")
    assert route.models == ("a", "b")
    assert config.models["a"].data_class is DataClass.INTERNAL
    assert config.route_named("careful") is route
    assert config.route_for("chat") is route


def test_a_route_with_a_name_alone_is_for_who_names_it():
    config, problems = parsed({"name": "spare", "use": ["a"]})
    assert problems == []
    assert config.route_for("chat") is None
    assert config.route_named("spare") is not None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "a"}, "There is a model 'a' already."),
        ({"pin": "b"}, "'b' is not among 'use'."),
        ({"weights": {"b": 1}}, "'b' is not among 'use'."),
        ({"weights": {"a": 0}}, "must be a number above 0"),
        ({"canary": {"model": "a", "share": 0.1}}, "'a' is among 'use' already."),
        ({"canary": {"model": "b", "share": 2}}, "must be a number above 0, at most 1."),
        ({"canary": {"model": "c", "share": 0.1}}, "'c' cannot do 'chat'."),
        ({"prefer": "cheap"}, "'prefer' cannot be 'cheap'."),
        ({"requires": {"modalities": ["smell"]}}, "'smell' is none of 'modalities'."),
        ({"latency_s": "soon"}, "'latency_s' must be a number"),
        ({"prefers": "price"}, "'prefers' is not a known key."),
    ],
)
def test_what_is_wrong_with_a_route_is_told(change: dict[str, Any], told: str):
    _, problems = parsed({**FULL, **change})
    assert any(told in problem.detail for problem in problems), [problem.detail for problem in problems]


@pytest.mark.parametrize(
    "change", [{"data_class": "secret"}, {"quality": {"chat": 2}}, {"quality": {"sing": 1}}, {"timeouts": {"total": 1}}]
)
def test_what_is_wrong_with_what_a_model_says_of_itself_is_told(change: dict[str, Any]):
    _, problems = parsed({"task": "chat", "use": ["b"]}, {**MODELS, "b": {**MODELS["b"], **change}})
    assert problems
