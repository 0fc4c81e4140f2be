"""A cost limit below the cheapest path is found before anything runs."""

from __future__ import annotations

import pytest

from signoff.capabilities.gateway.cheapest import budget_problems, require_budgets
from signoff.catalog import Project, load_project_files
from signoff.core.errors import DefinitionError

PROMPT = """\
---
name: write
version: 1.0.0
purpose: An answer.
task: generate
input: {type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}
output: {type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}
limits: {max_output_tokens: 1000}
---
# user
{{ text }}
"""
WORKFLOW = """\
workflow: answer
version: 1.0.0
input: {type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}
limits: {cost: %s USD}
steps:
  draft: {%sai: write, with: {text: "${input.text}"}}
outcome: {done: "true"}
"""
MODELS = """\
models:
  big: {provider: openai_compatible, base_url: "https://a.b", model: big, price: {input_usd: 10, output_usd: 50}}
  cheap: {provider: openai_compatible, base_url: "https://a.b", model: c, price: {input_usd: 1, output_usd: 4}}
routes:
  - {task: generate, use: [%s]}
"""


def project(cost: str, use: str = "big", condition: str = "") -> Project:
    files = {
        "signoff.yaml": "project: p\n",
        "models.yaml": MODELS % use,
        "prompts/write.md": PROMPT,
        "workflows/answer.yaml": WORKFLOW % (cost, condition),
    }
    return load_project_files({name: text.encode() for name, text in files.items()})


def test_a_limit_below_the_cheapest_model_is_a_problem_at_its_place() -> None:
    (problem,) = budget_problems(project("0.01"))  # 1,000 tokens at 50 USD a million are 0.05
    assert (problem.code, problem.file, problem.line) == ("flow-budget", "workflows/answer.yaml", 6)
    with pytest.raises(DefinitionError):
        require_budgets(project("0.01"))


@pytest.mark.parametrize(
    ("cost", "use", "condition"),
    [("0.05", "big", ""), ("0.01", "big, cheap", ""), ("0.01", "big", "when: input.text != '', ")],
    ids=["enough", "a cheaper model", "not in every run"],
)
def test_what_some_run_can_pay_is_none(cost: str, use: str, condition: str) -> None:
    require_budgets(project(cost, use, condition))
