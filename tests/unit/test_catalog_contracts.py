"""Files that the template has none of: HTTP tools, vendors' models, rules, extractions, knowledge."""

from __future__ import annotations

import pytest
from support.catalog_files import added, only_problem, problems_of, template_files

from signoff.catalog import load_project_files
from signoff.catalog.tools import HttpCall, Idempotency, ToolFailure
from signoff.core.errors import InvalidError, NotFoundError
from signoff.core.labels import DataClass, Labels, Trust

PAY = """\
tool: pay.out
about: Pays money out.
effect: write
http: {method: POST, url: "https://bank.example/{account}/payments", headers: {X-Client: signoff}}
input:
  type: object
  properties:
    account: {type: string, x-signoff: {sink: trusted}}
    cents: {type: integer, x-signoff: {sink: confined}}
  required: [account, cents]
output:
  type: object
  properties:
    id: {type: string, x-signoff: {trust: trusted, class: confidential}}
    lines: {type: array, items: {type: object, properties: {text: {type: string, x-signoff: {trust: trusted}}}}}
timeout: 2500ms
idempotency: {header: Idempotency-Key, recovery: lookup, lookup: {tool: pay.find, argument: key}}
errors:
  404: {kind: no_account}
  5xx: {kind: bank_down, retryable: true, outcome_unknown: true}
  409: {output: {id: ""}}
auth: {header: Authorization, value: "Bearer ${secret.BANK}"}
"""
FIND = """\
tool: pay.find
about: Finds a payment by its key.
effect: none
http: {method: GET, url: "https://bank.example/payments"}
input: {type: object, properties: {key: {type: string}}, required: [key]}
output: {type: object, properties: {id: {type: string}}}
"""
RULE = """\
rule: small
about: Small enough.
input:
  type: object
  properties: {cents: {type: integer}, note: {type: string}}
  required: [cents]
conditions:
  - {id: cap, assert: "cents <= 10000", severity: review, message: "Above 100 USD."}
  - id: said
    assert: >-
      cents > 0
      && note.size() > 0
    severity: warn
"""
EXTRACT = """\
---
name: extract
version: 2.1.0
purpose: Reads an order number.
task: extract
input: {type: object, properties: {text: {type: string}, note: {type: string}}, required: [text]}
output:
  type: object
  properties:
    order: {type: string, x-extract: {kind: identifier, pattern: 'W[0-9]{7}'}}
    cents: {type: integer, x-extract: {kind: amount, unit: cents, currency: USD}}
  required: [order]
---
# system
Extract.{% if note %} Note: {{ note }}{% endif %}
# user
{{ text }}
"""
EXTRACT_ROUTE = """\
models:
  local/minilm: {provider: minilm}
  local/fields: {provider: fields}
  vendor/main: {provider: openai_compatible, api_key: "${env.KEY}", model: gpt, price: {input_usd: 0.15, output_usd: 1}}
routes:
  - {prompt: extract, use: [vendor/main, local/fields]}
  - {task: extract, use: [local/fields]}
  - {task: classify, use: [local/minilm]}
  - {task: embed, use: [local/minilm]}
profiles:
  vendor: {routes: [{task: classify, use: [vendor/main]}]}
"""


def with_tools(pay: str = PAY, find: str = FIND) -> dict[str, bytes]:
    return {**template_files(), "tools/pay.yaml": pay.encode(), "tools/find.yaml": find.encode()}


def with_extraction(extract: str = EXTRACT, models: str = EXTRACT_ROUTE) -> dict[str, bytes]:
    return {**template_files(), "prompts/extract.md": extract.encode(), "models.yaml": models.encode()}


def test_http_tool_is_read_whole() -> None:
    tool = load_project_files(with_tools()).tools["pay.out"]
    assert tool.call == HttpCall("POST", "https://bank.example/{account}/payments", {"X-Client": "signoff"})
    assert tool.effect
    assert tool.timeout_s == 2.5
    assert tool.idempotency == Idempotency("lookup", "Idempotency-Key", None, "pay.find", "key")
    assert tool.failure("404") == ToolFailure("no_account")
    assert tool.failure("503") == ToolFailure("bank_down", retryable=True, outcome_unknown=True)
    assert tool.failure("409") == ToolFailure("", output={"id": ""})
    assert tool.failure("400") is None
    assert tool.sinks == {("account",): "trusted", ("cents",): "confined"}
    assert tool.output_labels == {
        ("id",): Labels(DataClass.CONFIDENTIAL, Trust.TRUSTED),
        ("lines", "text"): Labels(DataClass.INTERNAL, Trust.TRUSTED),
    }


def test_write_without_idempotency_asks_a_person() -> None:
    pay = PAY.replace(
        "idempotency: {header: Idempotency-Key, recovery: lookup, lookup: {tool: pay.find, argument: key}}\n", ""
    )
    assert load_project_files(with_tools(pay)).tools["pay.out"].idempotency == Idempotency("ask")


@pytest.mark.parametrize(
    ("old", "new", "detail", "suggestion"),
    [
        ("{sink: confined}", "{class: internal}", "'cents' must say what trust it needs", "sink: trusted"),
        (", x-signoff: {sink: trusted}", "", "'account' must say what trust it needs", "sink: trusted"),
        ("{account}/payments", "{acount}/payments", "'{acount}' is not an argument", "'account'"),
        ("required: [account, cents]", "required: [cents]", "'{account}' may be missing", "required"),
        ("https://bank.example", "ftp://bank.example", "not an address of HTTP", "https://"),
        ("https://bank.example", "${settings.bank}", "no setting 'bank'", "signoff.yaml"),
        ("https://bank.example", "https://${env.BANK}", "cannot be used here", "settings"),
        ("X-Client: signoff", '"X Client": signoff', "not a header's name", ""),
        ("method: POST", "method: SEND", "'method' cannot be 'SEND'", "POST"),
        ("recovery: lookup, ", "recovery: retry, ", "'recovery' cannot be 'retry'", "resend"),
        ("header: Idempotency-Key, ", "", "needs a place for the key", "Idempotency-Key"),
        (", lookup: {tool: pay.find, argument: key}", "", "A lookup needs the tool", "lookup"),
        ("tool: pay.find", "tool: pay.fnd", "no tool 'pay.fnd'", "'pay.find'"),
        ("tool: pay.find", "tool: pay.out", "changes the world", ""),
        ("argument: key", "argument: k", "no argument 'k'", "It has: key"),
        ("Bearer ${secret.BANK}", "Bearer s3cr3t", "credential may not stand in the project", "secret."),
        ("5xx:", "6xx:", "no status or exception", "5xx"),
        ('output: {id: ""}', "output: {id: 7}", "breaks the tool's output schema", ""),
        ("{trust: trusted, class: confidential}", "{sink: any}", "'sink' is not a known key", "trust"),
    ],
)
def test_mistakes_in_an_http_tool(old: str, new: str, detail: str, suggestion: str) -> None:
    assert old in PAY
    problems = problems_of(with_tools(PAY.replace(old, new, 1)))
    fitting = [p for p in problems if detail in p.detail and suggestion in (p.suggestion or "")]
    assert fitting, "\n".join(map(str, problems))
    assert all(p.file == "tools/pay.yaml" and p.line for p in fitting)


def test_no_problem_repeats_a_credential() -> None:
    problems = problems_of(with_tools(PAY.replace("Bearer ${secret.BANK}", "Bearer s3cr3t-value")))
    assert not any("s3cr3t-value" in str(problem) for problem in problems)


def test_rule_is_type_checked() -> None:
    rule = load_project_files(added("rules/small.yaml", RULE)).rules["small"]
    assert [condition.id for condition in rule.conditions] == ["cap", "said"]
    assert rule.conditions[0].expression.source == "cents <= 10000"
    assert [condition.line for condition in rule.conditions] == [8, 9]


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "detail"),
    [
        ("cents <= 10000", "cent <= 10000", 8, 23, "named 'cent'"),
        ("cents <= 10000", "cents <=", 8, 0, "not CEL"),
        ("cents <= 10000", "cents + 1", 8, 15, "not true or false"),
        ("note.size()", "noet.size()", 12, 10, "named 'noet'"),
        ("severity: review", "severity: reviews", 8, 41, "'severity' cannot be 'reviews'"),
        ("id: said", "id: cap", 9, 5, "is taken"),
        ("rule: small", "rles: small", 1, 1, "'rles' is not a known key"),
        ("conditions:", "condition:", 7, 1, "'condition' is not a known key"),
    ],
)
def test_mistakes_in_a_rule(old: str, new: str, line: int, column: int, detail: str) -> None:
    problems = problems_of(added("rules/small.yaml", RULE.replace(old, new, 1)))
    fitting = [p for p in problems if detail in p.detail and p.line == line and (not column or p.column == column)]
    assert fitting, "\n".join(map(str, problems))


def test_extraction_and_routes_are_read() -> None:
    project = load_project_files(with_extraction())
    prompt = project.prompts.find("extract@^2")
    assert prompt.hints["order"].pattern == "W[0-9]{7}"
    assert (prompt.hints["cents"].unit, prompt.hints["cents"].currency) == ("cents", "USD")
    assert [spec.name for spec in project.models.route("extract", "extract")] == ["vendor/main", "local/fields"]
    assert [spec.name for spec in project.models.route("extract", "other")] == ["local/fields"]
    assert [spec.name for spec in project.models.route("classify")] == ["local/minilm"]
    assert [spec.name for spec in project.models.route("classify", profile="vendor")] == ["vendor/main"]
    assert [spec.name for spec in project.models.route("extract", profile="vendor")] == ["local/fields"]
    assert project.models.route("generate") == ()
    assert project.models.models["vendor/main"].settings["api_key"] == "${env.KEY}"
    with pytest.raises(InvalidError, match="Did you mean 'vendor'"):
        project.models.route("classify", profile="vendr")


def test_variable_that_may_be_left_out_is_null_to_the_template() -> None:
    prompt = load_project_files(with_extraction()).prompts.find("extract")
    assert prompt.render({"text": "x"})[0].content.startswith("Extract.\n")
    assert 'Note: <data name="note">n</data>' in prompt.render({"text": "x", "note": "n"})[0].content


@pytest.mark.parametrize("variables", [{}, {"text": 7}, {"text": "x", "other": "y"}, {"text": None}])
def test_prompt_is_not_rendered_from_wrong_variables(variables: dict[str, object]) -> None:
    prompt = load_project_files(with_extraction()).prompts.find("extract")
    with pytest.raises(InvalidError, match=r"extract@2\.1\.0 cannot be rendered"):
        prompt.render(variables)


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ("kind: identifier", "kind: number", "'kind' cannot be 'number'"),
        ("W[0-9]{7}", "W[0-9", "no regular expression"),
        ("W[0-9]{7}", "W" * 501, "longer than 500"),
        ("W[0-9]{7}", "(?:W|[0-9]+)+", "would take for ever"),
        ("unit: cents", "unit: euros", "not a unit"),
        ("currency: USD", "currency: dollars", "no currency"),
        ("kind: amount", "kind: amount, kin: x", "'kin' is not a known key"),
        ("task: extract", "task: generate", "belongs to a task 'extract'"),
        ("name: extract", "name: sort-message\nlabels: {a: b}", "Only a classification has labels"),
        ("text: {type: string}, ", "labels: {type: string}, text: {type: string}, ", "'labels' is taken"),
        ("# user\n{{ text }}\n", "", "no user section"),
    ],
)
def test_mistakes_in_an_extraction(old: str, new: str, detail: str) -> None:
    assert old in EXTRACT
    problems = problems_of(with_extraction(EXTRACT.replace(old, new, 1)))
    assert any(detail in p.detail and p.file == "prompts/extract.md" and p.line for p in problems), problems


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ("${env.KEY}", "sk-abc", "credential may not stand in the project"),
        (
            "provider: openai_compatible",
            'provider: openai_compatible, base_url: "http://a:sk-abc@h/v1"',
            "password may not stand in the project",
        ),
        ("${env.KEY}", "${settings.key}", "cannot be used here"),
        (", model: gpt", "", "'model' is missing"),
        ("input_usd: 0.15", "input_usd: free", "amount in US dollars"),
        ("{prompt: extract,", "{prompt: extrct,", "which is not there"),
        ("{task: extract, use: [local/fields]}", "{task: extract, use: [local/minilm]}", "cannot do 'extract'"),
        ("classify, use: [vendor/main]", "classify, use: [vendor/man]", "no model 'vendor/man'"),
    ],
)
def test_mistakes_in_models(old: str, new: str, detail: str) -> None:
    assert old in EXTRACT_ROUTE
    problems = problems_of(with_extraction(models=EXTRACT_ROUTE.replace(old, new, 1)))
    assert any(detail in p.detail and p.file == "models.yaml" for p in problems), problems
    assert not any("sk-abc" in str(problem) for problem in problems)


def test_prompt_without_a_route_is_told() -> None:
    problem = only_problem(added("prompts/extract.md", EXTRACT))
    assert (problem.file, problem.code) == ("models.yaml", "no-route")
    assert "task: extract" in (problem.suggestion or "")


def test_versions_of_a_prompt_are_chosen_by_constraint() -> None:
    old = EXTRACT.replace("version: 2.1.0", "version: 2.0.9")
    files = {**with_extraction(), "prompts/extract@1.md": old.encode()}
    prompts = load_project_files(files).prompts
    assert [prompts.find(f"extract{suffix}").version for suffix in ("", "@^2", "@2.0.9", "@~2.0")] == [
        "2.1.0",
        "2.1.0",
        "2.0.9",
        "2.0.9",
    ]
    with pytest.raises(NotFoundError, match=r"There is: 2\.1\.0, 2\.0\.9"):
        prompts.find("extract@^3")
    with pytest.raises(NotFoundError, match="Did you mean 'extract'"):
        prompts.find("extrct")
    with pytest.raises(NotFoundError, match="not a version constraint"):
        prompts.find("extract@latest")


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("prompts/again.md", template_files()["prompts/sort-message.md"], "prompt 'sort-message@1.0.0' is in"),
        ("tools/again.yaml", template_files()["tools/replies.yaml"], "tool 'replies.write' is in"),
        ("workflows/again.yaml", template_files()["workflows/hello.yaml"], "workflow 'hello' is in"),
    ],
)
def test_a_name_is_taken_once(name: str, text: bytes, detail: str) -> None:
    assert any(detail in problem.detail for problem in problems_of(added(name, text)))


def test_knowledge_is_read_by_index() -> None:
    files = {
        **with_extraction(),
        "knowledge/policy/a.md": b"# A\r\ntext",
        "knowledge/policy/deep/b.txt": "ä".encode(),
        "knowledge/policy.yaml": b"{chunk_size: 500, trusted: true}",
    }
    project = load_project_files(files)
    assert project.knowledge == {
        "policy": (("knowledge/policy/a.md", "# A\ntext"), ("knowledge/policy/deep/b.txt", "ä"))
    }
    assert (project.index_settings["policy"].chunk_size, project.index_settings["policy"].trusted) == (500, True)


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("knowledge/a.md", b"text", "in no index"),
        ("knowledge/policy/a.yaml", b"{}", "in no index"),
        ("knowledge/policy.yaml", b"{}", "The index has no sources"),
        ("knowledge/policy/a.md", b"\xff\xfe", "not UTF-8"),
        ("knowledge/policy/a.md", b"a\0b", "NUL"),
        ("knowledge/policy/a.md", b"text", "the task 'embed'"),
        ("schemas/a.json", b"{" * 100_000, "not JSON"),
        ("schemas/a.json", b'{"type": "strng"}', "schema"),
        ("prompts/a.md", b"Hello {{ name }}", "no front matter"),
        ("prompts/a.md", b"---\nname: a\n", "no front matter"),
        ("prompts/a.md", b"---\n- a\n---\n# user\nx", "must be a mapping"),
        ("tools/a.yaml", b"", "empty"),
        ("tools/a.py", b"\0", "not Python"),
        ("notes.txt", b"x", "no part of a project"),
        ("prompts/a.txt", b"x", "no part of a project"),
    ],
)
def test_files_that_cannot_be_used(name: str, text: bytes, detail: str) -> None:
    problems = problems_of(added(name, text))
    assert any(detail in problem.detail for problem in problems), problems


def test_line_of_what_is_not_utf8() -> None:
    problem = only_problem({**with_extraction(), "knowledge/p/a.md": b"a\nb\xff"})
    assert (problem.file, problem.line) == ("knowledge/p/a.md", 2)


MARK = "x-signoff: {trust: trusted, class: public}"
TRUSTED, UNVOUCHED = Labels(), Labels(DataClass.INTERNAL, Trust.UNTRUSTED)


@pytest.mark.parametrize(
    ("output", "labels"),
    [
        ("properties: {id: {type: string, MARK}, kind: {const: paid}}, CLOSED", TRUSTED),
        ("properties: {in: {type: object, MARK, properties: {id: {}}}}, CLOSED", TRUSTED),
        ("properties: {l: {type: array, items: {type: object, properties: {a: {MARK}}, CLOSED}}}, CLOSED", TRUSTED),
        ("CLOSED", TRUSTED),
        # Whatever is not marked, or may come besides, was chosen by somebody else.
        ("properties: {id: {type: string, MARK}, note: {type: string}}, CLOSED", UNVOUCHED),
        ("properties: {id: {type: string, MARK}, kind: {enum: [a, b]}}, CLOSED", UNVOUCHED),
        ("properties: {id: {type: string, MARK}}", UNVOUCHED),
        ("properties: {id: {type: string, MARK}}, CLOSED, patternProperties: {n: {}}", UNVOUCHED),
        (
            "properties: {o: {properties: {a: {MARK}}, CLOSED}}, CLOSED",
            UNVOUCHED,
        ),
        ("properties: {id: {type: string, MARK}, l: {type: array}}, CLOSED", UNVOUCHED),
        ("properties: {id: {type: string}}", UNVOUCHED),
    ],
)
def test_an_output_is_trusted_only_where_the_contract_vouches_for_all_of_it(output: str, labels: Labels) -> None:
    text = FIND.replace(
        "properties: {id: {type: string}}",
        output.replace("MARK", MARK).replace("CLOSED", "additionalProperties: false"),
    )
    project = load_project_files(added("tools/pay.find.yaml", text))
    assert project.tools["pay.find"].labels == labels


def test_a_label_of_an_output_is_at_least_that_of_each_marked_field() -> None:
    output = "properties: {id: {type: string, x-signoff: {trust: trusted, class: regulated}}, note: {type: string}}"
    text = FIND.replace("properties: {id: {type: string}}", output)
    project = load_project_files(added("tools/pay.find.yaml", text))
    assert project.tools["pay.find"].labels == Labels(DataClass.REGULATED, Trust.UNTRUSTED)
