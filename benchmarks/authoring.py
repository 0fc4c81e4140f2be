"""What authors wait for, and what the language costs a run: `python -m benchmarks authoring`.

- `check_cold_s`: `signoff check` of a generated project of 200 workflows and 300 prompts, a process of its own, nothing
  cached; the median of rounds.
- `check_changed_ms`: the same project, checked again after one workflow was changed, by a process that has checked it
  before: as `signoff check --watch` does.
- `validate_us`: an output of 5 KB against its schema, through what steps validate with.
- `interpret_us`: deciding and computing a step whose arguments have three expressions, without the journal.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from signoff.catalog import load_project
from signoff.catalog.memo import Memo
from signoff.core.schemas import validate
from signoff.workflows import Contract, Contracts, compile_workflow
from signoff.workflows.semantics import Ready, RunScope, StepState, decide_step, must_wait

WORKFLOWS, PROMPTS = 200, 300
OUTPUT_BYTES = 5_000

_PROMPT = """\
---
name: sort-{number}
version: 1.0.0
purpose: Sort a message of kind {number}.
task: classify
input:
  type: object
  properties: {{text: {{type: string}}, product: {{type: string}}}}
  required: [text, product]
  additionalProperties: false
labels:
  complaint: "The customer is unhappy with product {number}."
  question: "The customer asks something about it."
  praise: "The customer likes it."
---
# system
Say which label fits a message about {{{{ product }}}}.
# user
{{{{ text }}}}
"""
_WORKFLOW = """\
workflow: team/case_{number}
version: 1.0.0
about: A message is sorted, a person looks where the model is unsure, an answer goes out.
owner: team/example
risk: low
input:
  type: object
  properties: {{name: {{type: string}}, text: {{type: string}}, cents: {{type: integer}}}}
  required: [name, text, cents]
limits: {{cost: 0.05 USD, time: 7d}}

steps:
  sorted:
    ai: sort-{prompt}@^1
    with: {{text: "${{input.text}}", product: "thing {number}"}}
  second:
    when: sorted.confidence < 0.8
    ai: sort-{other}@^1
    with: {{text: "${{input.text}}", product: "${{input.name}}"}}
  sure:
    set: {{confidence: "${{sorted.confidence}}", share: "${{input.cents * 100 / 7}}"}}
  decision:
    review: Is this message sorted right?
    needed: sure.confidence < 0.6 || input.cents > 10000
    by: role/reviewer
    propose: {{label: "${{sorted.label}}", cents: "${{input.cents}}"}}
    editable: [label]
    show: [input.text, sorted]
    expire: 7d
  answer:
    requires: decision
    assert: decision.cents <= input.cents
    tool: replies.write
    with: {{name: "${{input.name}}", label: "${{decision.label}}"}}
  reply:
    set: {{label: "${{decision.label}}", text: "${{answer.text}}"}}

outcome:
  answered: reply.done
  dropped: decision.result in ['rejected', 'expired']
"""


def generate(directory: Path) -> None:
    """Write the project: what `signoff init` makes, with many workflows and prompts."""
    subprocess.run(
        [str(Path(sys.executable).with_name("signoff")), "init", str(directory)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (directory / "policies" / "all.cedar").write_text('@id("all")\npermit (principal, action, resource);\n')
    for number in range(PROMPTS):
        (directory / "prompts" / f"sort-{number}.md").write_text(_PROMPT.format(number=number))
    for number in range(WORKFLOWS):
        text = _WORKFLOW.format(number=number, prompt=number % PROMPTS, other=(number + 100) % PROMPTS)
        (directory / "workflows" / f"case_{number}.yaml").write_text(text)


def check_cold_s(directory: Path, rounds: int) -> float:
    """Seconds of `signoff check`, process and all, with no cache."""
    taken: list[float] = []
    for _ in range(rounds):
        shutil.rmtree(directory / ".signoff", ignore_errors=True)
        before = time.perf_counter()
        done = subprocess.run(
            [str(Path(sys.executable).with_name("signoff")), "check", str(directory)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        taken.append(time.perf_counter() - before)
        assert done.returncode == 0, done.stdout + done.stderr
    return statistics.median(taken)


def check_changed_ms(directory: Path, rounds: int) -> float:
    """Milliseconds of a check in a process that has checked before, after one workflow was changed."""
    taken: list[float] = []
    file = directory / "workflows" / "case_7.yaml"
    text = file.read_text()
    memo = Memo()
    load_project(directory, memo)
    for number in range(rounds):
        file.write_text(text.replace("0.05 USD", f"0.{number + 10} USD"))
        before = time.perf_counter()
        load_project(directory, memo)
        taken.append((time.perf_counter() - before) * 1e3)
    file.write_text(text)
    return statistics.median(taken)


def validate_us(rounds: int) -> float:
    """Microseconds to validate an output of 5 KB."""
    item = {"sku": "a-1", "count": 3, "price": {"cents": 1299, "currency": "EUR"}, "note": "a note of some length here"}
    schema = _record(
        subject={"type": "string", "maxLength": 200},
        lines={"type": "array", "items": _schema_of(item), "maxItems": 100},
        confidence={"type": "number", "minimum": 0, "maximum": 1},
        disclaimers={"type": "array", "items": {"type": "string"}},
    )
    value: dict[str, Any] = {"subject": "An answer", "lines": [], "confidence": 0.9, "disclaimers": ["x" * 100] * 5}
    while len(json.dumps(value)) < OUTPUT_BYTES:
        value["lines"].append(dict(item))
    assert validate(schema, value) == []
    return _timed_us(lambda: validate(schema, value), rounds)


def interpret_us(rounds: int) -> float:
    """Microseconds to decide a step: what it waits for, its condition, its arguments, its labels."""
    order = _record(id={"type": "string"}, cents={"type": "integer"}, label={"type": "string"})
    contracts = Contracts(tools={"shop.order": Contract(_record(id={"type": "string"}), order)})
    text = """\
workflow: a
version: 1.0.0
input: {type: object, properties: {id: {type: string}, cents: {type: integer}}, required: [id, cents]}
steps:
  order: {tool: shop.order, with: {id: "${input.id}"}}
  step: {when: order.cents > 0, set: {id: "${order.id}", share: "${order.cents * 100 / input.cents}"}}
outcome: {fine: 'true'}
"""
    workflow = compile_workflow(text, "a.yaml", contracts)
    step = workflow.step("step")
    states = {"order": StepState("done", "done", {"id": "o-1", "cents": 700, "label": "x" * 500}, readable=True)}
    value = {"id": "i-1", "cents": 1000}

    def once() -> None:
        scope = RunScope(value, states, workflow.input_labels)
        assert not must_wait(step, states)
        decision = decide_step(step, scope, states)
        assert isinstance(decision, Ready)

    return _timed_us(once, rounds)


def _record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _schema_of(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return _record(**{str(key): _schema_of(item) for key, item in value.items()})  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  (JSON)
    return {"type": "integer" if isinstance(value, int) else "string"}


def _timed_us(call: Callable[[], object], rounds: int) -> float:
    """The median of rounds of a thousand calls, in microseconds a call."""
    taken: list[float] = []
    for _ in range(rounds):
        before = time.perf_counter()
        for _ in range(1000):
            call()
        taken.append((time.perf_counter() - before) * 1e3)
    return statistics.median(taken)


def run(*, quick: bool = False) -> dict[str, float]:
    """All figures."""
    rounds = 2 if quick else 7
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "many"
        generate(directory)
        figures = {
            "check_cold_s": check_cold_s(directory, rounds),
            "check_changed_ms": check_changed_ms(directory, rounds),
        }
    figures |= {"validate_us": validate_us(rounds * 3), "interpret_us": interpret_us(rounds * 3)}
    return {name: round(value, 3) for name, value in figures.items()}
