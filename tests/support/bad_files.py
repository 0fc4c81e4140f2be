"""A project with every kind of document in it, and what must hold of each file of it, however it is damaged."""

from __future__ import annotations

from support.catalog_files import template_files

from signoff.catalog import load_project_files
from signoff.core.errors import DefinitionError

MORE = {
    "decisions/limits.yaml": """\
decision: limits
hit: first
input: {type: object, properties: {cents: {type: integer}}, required: [cents]}
output: {type: object, properties: {action: {enum: [auto, review]}}, required: [action]}
rules:
  - {id: small, when: {cents: "< 100, [200..300]"}, give: {action: auto}}
  - {id: odd, when: {cents: "${cents % 2 == 1}"}, give: {action: review}}
otherwise: {action: review}
""",
    "decisions/tier.csv": "first,in cents: integer 0..,out tier: gold|silver\na,< 100,silver\notherwise,,gold\n",
    "fragments/limited.yaml": """\
fragment: limited
parameters: {cents: {type: integer, default: 5}}
steps:
  limit: {decide: limits, with: {cents: "${given.cents}"}}
give: {action: "${limit.action}"}
""",
    "rules/small.yaml": """\
rule: small
input: {type: object, properties: {cents: {type: integer}}, required: [cents]}
conditions:
  - {id: cap, assert: cents <= 100, severity: review, message: Too much.}
""",
    "schedules/daily.yaml": """\
schedule: daily
workflow: many
cron: '0 6 * * *'
as: [operator]
input: {cents: 1}
""",
    "workflows/many.yaml": """\
workflow: many
version: 1.0.0
input: {type: object, properties: {cents: {type: integer}, note: {type: string}}, required: [cents]}
risk: high
goals: {share: 40%}
defaults: {tool: {retry: {times: 2}}}
attributes: {cents: "${input.cents}"}
steps:
  limit: {use: limited, with: {cents: "${input.cents}"}}
  tier: {decide: tier, with: {cents: "${input.cents}"}}
  kind: {model: classify, labels: [a, b], with: {text: "${input.?note.orValue('none')}"}}
  small: {check: small, with: {cents: "${input.cents}"}}
  each: {for: "${[1, 2]}", as: n, steps: {s: {set: {n: "${n * 2}"}}}, give: {n: "${s.n}"}}
  again: {repeat: {t: {set: {n: "${index}"}}}, until: t.n > 1, give: {n: "${t.n}"}}
  pause: {when: has(input.note) && kind.label == 'a', wait: 2s}
  both: {do: {u: {set: {a: 1}}}, give: {a: "${u.a}"}, on_error: {a: 0}}
outcome: {fine: {when: limit.done && tier.tier == 'gold', give: {n: "${both.a}"}}, other: 'true'}
""",
    "signoff.yaml": """\
project: hello
about: Everything that a project may say.
owner: team/x
roles: {reviewer: Looks., operator: Starts.}
settings: {shop_url: "https://shop.example"}
environments: [dev, staging, prod]
defaults: {tool: {retry: {times: 2}}}
retention: {done: 30d, failed: 90d}
queues: {slow: {concurrency: 2}}
filters: [{filter: secrets}]
events: {help.sent.v1: {about: Sent., filters: [{filter: secrets}]}}
""",
    "models.yaml": """\
models:
  local/minilm: {provider: minilm}
  vendor/main:
    {provider: openai_compatible, base_url: "https://m.example/v1", model: m, price: {input_usd: 1, output_usd: 4}}
routes:
  - {task: classify, use: [local/minilm]}
  - {task: generate, use: [vendor/main]}
  - {task: embed, use: [local/minilm]}
profiles: {cheap: {routes: [{task: classify, use: [local/minilm]}]}}
limits: [{of: project, cost_usd: 50, every: day}]
""",
    "workflows/coded.py": """\
from signoff.workflows.python import Context, RunOutcome, workflow


@workflow("coded", version="1.0.0", about="In code.", owner="x", input="schemas/message.json", outcomes=["fine"])
async def coded(ctx: Context, input: dict) -> RunOutcome:
    found = await ctx.check("small", {"cents": len(input["text"])})
    if found["passed"]:
        await ctx.gather(*[ctx.wait("2s") for _ in range(2)])
    return ctx.outcome("fine")
""",
    "prompts/answer.md": """\
---
name: answer
version: 2.1.0
purpose: Answers from passages.
task: generate
owners: [role/operator]
input:
  type: object
  properties: {text: {type: string}, docs: {type: array, items: {type: object}}}
  required: [text, docs]
output:
  type: object
  properties:
    text: {type: string, maxLength: 2000}
    body_html: {type: string}
    citations:
      type: array
      items: {type: object, properties: {quote: {type: string}, chunk_id: {type: string}}, required: [quote]}
  required: [text, body_html, citations]
limits: {max_output_tokens: 400, timeout: 30s}
data_class: internal
quality: {accuracy: 0.9}
repair: {attempts: 2, cost: 0.02 USD}
rules:
  - {id: short, that: size(text) < 500, severity: warn, message: Shorter.}
citations: {from: docs, field: citations, least: 1}
confidence: {rule: minimum, signals: [completeness, support]}
filters:
  - {filter: links, field: body_html, hosts: [shop.example]}
  - {filter: secrets}
tests:
  - name: knows
    input: {text: When?, docs: []}
    expect: {text: Soon.}
    assert: ["size(text) < 500"]
    answer: {text: Soon., body_html: <p>Soon.</p>, citations: [{quote: Parcels travel for two days.}]}
---
# system
Answer from the passages.
# user
{{ text }} {% for doc in docs %}{{ doc }}{% endfor %}
""",
    "knowledge/help.yaml": "about: How things work.\nchunk_size: 400\ntrusted: true\n",
    "knowledge/help/parcels.md": "# Parcels\n\nParcels travel for two days.\n",
}


def project() -> dict[str, bytes]:
    return {**template_files(), **{name: text.encode() for name, text in MORE.items()}}


WHOLE = frozenset({"no-route", "encoding", "duplicate", "unknown-name", "empty", "limit"})
"""Codes of problems that are about a file as a whole, or about two of them."""


def told(files: dict[str, bytes], name: str) -> None:
    """Load; what is wrong is in a file, and at a place of it unless it is about the file as a whole."""
    try:
        load_project_files(files)
    except DefinitionError as error:
        assert error.problems  # noqa: PT017  (that it is raised at all depends on the example)
        lost = [problem for problem in error.problems if not problem.file]
        nowhere = [
            problem
            for problem in error.problems
            if problem.file == name
            and problem.line is None
            and problem.pointer is None
            and problem.code not in WHOLE
            and not name.endswith((".json", ".cedar"))
        ]
        if lost or nowhere:
            raise AssertionError([*lost, *nowhere]) from error
