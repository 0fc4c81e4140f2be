"""What a plan says that a run may cost: the least, the expected and the most."""

from __future__ import annotations

from typing import Any

import pytest

from signoff.catalog import load_project_files
from signoff.catalog.delivery.costs import UNBOUNDED_TOKENS, input_tokens, workflow_costs
from signoff.catalog.delivery.model import CostRange
from signoff.catalog.models import ModelSpec
from signoff.core.money import Cost

MANIFEST = "project: desk\n"
MODELS = """
models:
  big: {provider: openai, model: gpt-big, api_key: "${env.KEY}"}
  small: {provider: openai, model: gpt-small, api_key: "${env.KEY}"}
routes: [{task: generate, use: ROUTE}]
"""
PROMPT = """---
name: answer
version: 1.0.0
purpose: Answers.
task: generate
input:
  type: object
  properties: {text: {type: string, maxLength: 400}}
  required: [text]
  additionalProperties: false
output:
  type: object
  properties: {said: {type: string, maxLength: 100}}
  required: [said]
  additionalProperties: false
limits: {max_output_tokens: 100}
EXTRA
---
# user
Answer: {{ text }}
"""
FLOW = """
workflow: answer
version: 1.0.0
input: {type: object, properties: {text: {type: string, maxLength: 400}}, required: [text]}
steps:
  said: {ai: answer, WHEN with: {text: "${input.text}"}}
outcome: {done: "true"}
"""


AGENT = '{agent: answer, with: {text: "${input.text}"}, tools: [find], max_turns: 3, max_calls: 2}'
FIND = """tool: find
about: Finds.
effect: none
python: "tools/find.py:find"
input: {type: object, properties: {q: {type: string}}, required: [q]}
output: {type: object}
"""


def price(spec: ModelSpec, given: int, answered: int) -> Cost | None:
    """One micro-dollar a token given, ten a token answered; the small model a tenth of it."""
    return Cost((given + 10 * answered) * (10 if spec.name == "big" else 1))


def cost(extra: str = "", route: str = "[big]", when: str = "", asked: Any = price) -> CostRange | None:
    files = {
        "signoff.yaml": MANIFEST,
        "models.yaml": MODELS.replace("ROUTE", route),
        "prompts/answer.md": PROMPT.replace("EXTRA\n", extra and f"{extra}\n"),
        "workflows/answer.yaml": FLOW.replace("WHEN ", when),
    }
    project = load_project_files({name: text.encode() for name, text in files.items()})
    return workflow_costs(project, asked)["answer"]


def test_repairs_and_other_models_are_part_of_the_most() -> None:
    none, two = cost("repair: {attempts: 0}"), cost("repair: {attempts: 2}")
    assert none is not None
    assert two is not None
    assert none.least < none.expected < none.most
    assert two.least == none.least
    longest = (none.most // 10) - 1000
    assert two.most == none.most + 2 * 10 * (longest + 100 + 200 + 1000)  # its earlier answer and what is wrong with it
    assert none.expected < two.expected < none.expected * 1.2  # one answer in ten
    both = cost("repair: {attempts: 0}", "[big, small]")
    assert both == CostRange(none.least, none.expected, none.most + none.most // 10)
    capped = cost("repair: {attempts: 2, cost: 0.001 USD}")
    assert capped is not None
    assert capped.most == none.most + 1000


def test_answers_that_agreement_compares_are_asked_for_always() -> None:
    one = cost("repair: {attempts: 0}")
    confidence = "repair: {attempts: 0}\nconfidence: {rule: minimum, signals: [agreement], agreement: {answers: 3}}"
    three = cost(confidence)
    assert one is not None
    assert three == CostRange(3 * one.least, 3 * one.expected, 3 * one.most)
    other = cost(confidence.replace("answers: 3", "answers: 2, model: small"))
    assert other is not None
    assert other.most == one.most + one.most // 10


def test_an_agent_costs_one_turn_at_least_and_every_turn_with_all_that_its_calls_gave_at_most() -> None:
    agent = FLOW.replace('{ai: answer, WHEN with: {text: "${input.text}"}}', AGENT)
    files = {
        "signoff.yaml": MANIFEST,
        "models.yaml": MODELS.replace("ROUTE", "[big]"),
        "prompts/answer.md": PROMPT.replace("EXTRA", "repair: {attempts: 0}"),
        "tools/find.yaml": FIND,
        "tools/find.py": "def find(arguments):\n    return {}\n",
        "workflows/answer.yaml": agent,
    }
    found = workflow_costs(load_project_files({name: text.encode() for name, text in files.items()}), price)["answer"]
    once = cost("repair: {attempts: 0}")
    assert found is not None
    assert once is not None
    assert found.least == once.least
    assert found.most == 3 * (once.most + 2 * UNBOUNDED_TOKENS * 10)
    assert found.least < found.expected < found.most


def test_what_may_be_left_out_costs_nothing_at_least() -> None:
    always, sometimes = cost(), cost(when="when: size(input.text) > 3, ")
    assert always is not None
    assert sometimes is not None
    assert (sometimes.least, sometimes.most) == (0, always.most)
    assert sometimes.expected == pytest.approx(always.expected / 2, abs=1)


def test_nobody_guesses_a_price() -> None:
    def unknown(_spec: ModelSpec, _given: int, _answered: int) -> Cost | None:
        return None

    assert cost(asked=unknown) is None


def test_an_input_without_a_bound_counts_as_a_long_one() -> None:
    files = {"signoff.yaml": MANIFEST, "models.yaml": MODELS.replace("ROUTE", "[big]")}
    files["prompts/answer.md"] = PROMPT.replace("EXTRA\n", "").replace(", maxLength: 400", "")
    project = load_project_files({name: text.encode() for name, text in files.items()})
    assert input_tokens(project.prompts.find("answer")) >= UNBOUNDED_TOKENS
