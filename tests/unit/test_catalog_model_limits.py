"""`limits:` and `prices:` of models.yaml: what is read, what is refused, and which part of a window a moment is in."""

from __future__ import annotations

import pytest
from support.catalog_files import only_problem, problems_of, template_files

from signoff.catalog.model_limits import ModelLimit, Window
from signoff.catalog.models import ModelsConfig
from signoff.catalog.projects import load_project_files

MODELS = """\
models:
  local/minilm: {provider: minilm}
  local/fields: {provider: fields}
  vendor/main: {provider: openai_compatible, base_url: "https://a.b/v1", api_key: "${env.KEY}", model: small-1}
  vendor/own: {provider: openai_compatible, base_url: "https://a.b/v1", api_key: "${env.KEY}", model: s, price: free}
routes:
  - {task: classify, use: [local/minilm]}
  - {task: extract, use: [local/fields]}
  - {task: embed, use: [local/minilm]}
prices:
  version: "2026-11"
  models:
    small-1: {input_usd: 1, output_usd: 4, cached_input_usd: 0.1}
    s: {input_usd: 1, output_usd: 4}
limits:
  - {of: team, requests: 600, every: 1m}
  - {of: key, tokens: 1000000, requests: 10, every: 1d}
  - {of: workflow, name: refund, cost_usd: 50.5, every: month, at_limit: cheaper}
"""
MINUTE, DAY = Window(length_s=60.0), Window(length_s=86_400.0)


def files(models: str = MODELS) -> dict[str, bytes]:
    return {**template_files(), "models.yaml": models.encode()}


def read(models: str = MODELS) -> ModelsConfig:
    return load_project_files(files(models)).models


def test_limits_are_read_one_for_each_amount() -> None:
    assert read().limits == (
        ModelLimit("team", "requests", 600, MINUTE),
        ModelLimit("key", "requests", 10, DAY),
        ModelLimit("key", "tokens", 1_000_000, DAY),
        ModelLimit("workflow", "micro_usd", 50_500_000, Window(calendar="month"), "cheaper", "refund"),
    )


def test_the_projects_prices_hold_where_a_model_has_none_of_its_own() -> None:
    models = read().models
    assert models["vendor/main"].settings["price"] == {
        "version": "2026-11",
        "input_usd": 1,
        "output_usd": 4,
        "cached_input_usd": 0.1,
    }
    assert models["vendor/own"].settings["price"] == "free"


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ("of: team", "of: teem", "'of' cannot be 'teem'."),
        ("requests: 600", "request: 600", "'request' is not a known key."),
        ("requests: 600, ", "", "A limit says how much."),
        ("requests: 600", "requests: -1", "'requests' must be a whole number"),
        ("cost_usd: 50.5", "cost_usd: much", "'cost_usd' must be US dollars."),
        ("every: 1m", "every: 90d", "'every' must be from 1s to 31d."),
        ("every: 1m", "every: week", "'week' is not a duration"),
        ("{of: team, ", "{of: project, name: x, ", "A project's limit needs no name."),
        ("at_limit: cheaper", "at_limit: wait", "'at_limit' cannot be 'wait'."),
        ("cached_input_usd: 0.1", "cached_usd: 0.1", "'cached_usd' is not a known key."),
        ("input_usd: 1, output_usd: 4, c", "input_usd: 1, c", "'output_usd' must be an amount"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(old: str, new: str, detail: str) -> None:
    assert old in MODELS
    found = load_problems(MODELS.replace(old, new, 1))
    assert any(item.startswith(detail) for item in found), found


def load_problems(models: str) -> list[str]:

    return [problem.detail for problem in problems_of(files(models))]


def test_too_many_limits_are_refused() -> None:
    more = "".join(f"  - {{of: team, name: t{number}, requests: 1, every: 1m}}\n" for number in range(61))
    assert only_problem(files(MODELS + more)).detail == "There are more than 64 limits."
