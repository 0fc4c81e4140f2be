"""Every kind of mistake in a project's files: found, placed, and answered with what to do."""

from __future__ import annotations

import pytest
from support.catalog_files import changed, problems_of, template_files

from signoff.catalog import load_project_files

PROMPT = "prompts/sort-message.md"
TOOL = "tools/replies.yaml"
MODELS = "models.yaml"
MANIFEST = "signoff.yaml"
HELLO = "workflows/hello.yaml"

# file, what is replaced, by what, line and column of the problem, part of its detail, part of its suggestion
CHANGES: list[tuple[str, str, str, int, int, str, str]] = [
    # signoff.yaml
    (MANIFEST, "project: hello", "projct: hello", 1, 1, "'projct' is not a known key", "'project'"),
    (MANIFEST, "project: hello", "project: Hello World", 1, 1, "is not a project's name", "lower-case"),
    (MANIFEST, "project: hello", "project: 7", 1, 1, "must be text", "quotes"),
    (MANIFEST, "project: hello", 'project: ""', 1, 1, "'project' is empty", ""),
    (MANIFEST, "roles:", "settings: {Shop: x}\nroles:", 3, 12, "not a setting's name", "shop_url"),
    (MANIFEST, "roles:", "settings: {shop: [1]}\nroles:", 3, 12, "a text or a number", ""),
    (MANIFEST, "roles:", 'settings: {shop: "${env.X}"}\nroles:', 3, 12, "plain value", "SIGNOFF_SETTING_SHOP"),
    (MANIFEST, "  operator:", "  Operator:", 3, 1, "'Operator' is not a role's name", "support-lead"),
    (MANIFEST, "about:", "about: &x", 2, 8, "Anchors", ""),
    (
        MANIFEST,
        "roles:",
        "screening: {injektion: true}\nroles:",
        3,
        13,
        "'injektion' is not a known key",
        "'injection'",
    ),
    (MANIFEST, "roles:", "screening: {outgoing: 1}\nroles:", 3, 13, "must be true or false", ""),
    (MANIFEST, "roles:", "screening: {injection_characters: -1}\nroles:", 3, 13, "from 0 to 200000", ""),
    (MANIFEST, "roles:", "screening: {held_characters: 9}\nroles:", 3, 13, "0 or at least 100", "Write 0"),
    (MANIFEST, "roles:", "screening: {in: [{filter: html}]}\nroles:", 3, 19, "'filter' cannot be 'html'", "secrets"),
    (
        MANIFEST,
        "roles:",
        "screening: {out: [{filter: links, verdict: review}]}\nroles:",
        3,
        35,
        "cannot be 'review'",
        "block",
    ),
    (
        MANIFEST,
        "roles:",
        "screening: {in: [{filter: secrets}, {filter: secrets, verdict: warn}]}\nroles:",
        3,
        37,
        "listed twice",
        "Leave one",
    ),
    (MANIFEST, "roles:", "screening: {out: [{filter: promises}]}\nroles:", 3, 19, "nothing to look for", "words"),
    # prompts
    (PROMPT, "version: 1.0.0", "version: one", 3, 1, "'one' is not a version: write three numbers such as 1.0.0", ""),
    (PROMPT, "purpose:", "porpose:", 4, 1, "'porpose' is not a known key", "'purpose'"),
    (PROMPT, "task: classify", "task: clasify", 5, 1, "'task' cannot be 'clasify'", "'classify'"),
    (PROMPT, "{type: string, maxLength: 4000}", "{type: strin, maxLength: 4000}", 9, 12, "not a sound JSON Schema", ""),
    (PROMPT, "  type: object\n", "  type: array\n", 6, 1, "must describe an object", "type: object"),
    (
        PROMPT,
        'label: praise}}\n  - {input: {text: "Great',
        'label: prais}}\n  - {input: {text: "Great',
        21,
        68,
        "breaks the prompt's schema",
        "",
    ),
    (PROMPT, "timeout: 30s", "timeout: 30", 23, 33, "must be a duration", "30s"),
    (PROMPT, "timeout: 30s", "timeout: 3 weeks", 23, 33, "is not a duration", ""),
    (PROMPT, "timeout: 30s", "timeout: 3d", 23, 33, "at most 1h", ""),
    (PROMPT, "max_output_tokens: 40", "max_output_tokens: 0", 23, 10, "from 1 to 32000", ""),
    (PROMPT, "limits:", "data_class: secret\nlimits:", 23, 1, "'data_class' cannot be 'secret'", "regulated"),
    (
        PROMPT,
        "limits:",
        "output: {type: object, properties: {x: {type: string}}}\nlimits:",
        23,
        1,
        "'label' and 'confidence'",
        "follows from the labels",
    ),
    (PROMPT, "# user", "# usr", 31, 1, "'usr' is no role", "'# user'"),
    (PROMPT, "{{ text }}", "{{ txt }} {{ text }}", 32, 4, "uses 'txt', which 'input' does not have", "'text'"),
    (PROMPT, "{{ text }}", "hello", 9, 5, "No section of the template uses 'text'", "{{ text }}"),
    (PROMPT, "{{ text }}", "{{ text.__class__() }}", 32, 1, "call nothing but", ""),
    (PROMPT, "{{ text }}", "a\n{{ text|shout }}", 33, 1, "no filter 'shout'", ""),
    (PROMPT, "{{ text }}", "{{ text", 32, 1, "malformed", ""),
    (PROMPT, "---\n# system", "---\nHello\n# system", 25, 1, "stands in no section", "# system"),
    # tools
    (TOOL, "tool: replies.write", "tool: Replies Write", 1, 1, "is not a tool's name", "shop.get_order"),
    (TOOL, "timeout: 5s", "timout: 5s", 18, 1, "'timout' is not a known key", "'timeout'"),
    (TOOL, "effect: none ", "effect: nothing ", 3, 1, "'effect' cannot be 'nothing'", ""),
    (TOOL, 'python: "tools/replies.py:write"', "about2: x", 1, 1, "either an HTTP request or a Python", "http"),
    (TOOL, "tools/replies.py:write", "replies.py:write", 4, 1, "names no function", "tools/shop.py:get_order"),
    (TOOL, "tools/replies.py:write", "tools/reply.py:write", 4, 10, "no file 'tools/reply.py'", "'tools/replies.py'"),
    (TOOL, "tools/replies.py:write", "tools/replies.py:wrote", 4, 27, "no function 'wrote'", "'write'"),
    (TOOL, "timeout: 5s", "idempotency: {recovery: resend}", 18, 1, "without effect needs none", "effect: write"),
    (TOOL, "timeout: 5s", "errors: {404: {kind: Not Found}}", 18, 16, "is not a kind of error", "not_found"),
    (TOOL, "timeout: 5s", "errors: {4-4: {kind: lost}}", 18, 10, "no status or exception", "5xx"),
    (TOOL, "timeout: 5s", "errors: {404: {kind: lost, retryable: maybe}}", 18, 28, "true or false", ""),
    (TOOL, "timeout: 5s", "errors: {404: {output: {txt: a}}}", 18, 16, "breaks the tool's output schema", ""),
    (TOOL, "timeout: 5s", 'auth: {header: A, value: "${env.T}"}', 18, 1, "no credential", "Leave"),
    (
        TOOL,
        "name: {type: string}",
        "name: {type: string, x-signoff: {snk: any}}",
        8,
        38,
        "'snk' is not a known key",
        "'sink'",
    ),
    (
        TOOL,
        "name: {type: string}",
        "name: {type: string, x-signoff: {sink: all}}",
        8,
        38,
        "'sink' cannot be 'all'",
        "trusted",
    ),
    (
        TOOL,
        "text: {type: string}",
        "text: {type: string, x-signoff: {trust: full}}",
        15,
        38,
        "'trust' cannot be 'full'",
        "trusted",
    ),
    # models.yaml
    (MODELS, "provider: minilm", "provider: minilam", 3, 18, "'provider' cannot be 'minilam'", "'minilm'"),
    (MODELS, "provider: minilm", "provider: minilm, model: x", 3, 36, "'model' is not a known key", ""),
    (MODELS, "use: [local/minilm]", "use: [local/miniml]", 7, 28, "no model 'local/miniml'", "'local/minilm'"),
    (MODELS, "task: classify", "task: clasify", 7, 6, "'task' cannot be 'clasify'", "'classify'"),
    (MODELS, "task: classify, ", "", 7, 5, "says what it is for", "task: classify"),
    (MODELS, "use: [local/minilm]", "use: []", 7, 22, "'use' is empty", "fallback"),
    (MODELS, "routes:", "profile: {}\nroutes:", 6, 1, "'profile' is not a known key", "'profiles'"),
    # workflows: the compiler's problems come through, and roles are checked
    (HELLO, "by: role/reviewer", "by: role/reviewr", 17, 9, "the role 'reviewr'", "'reviewer'"),
    (HELLO, "ai: sort-message@^1", "ai: sort-mesage@^1", 12, 9, "prompt", "sort-message"),
    (HELLO, "ai: sort-message@^1", "ai: sortmsg@^1", 12, 9, "no prompt named", "Did you mean 'sort-message'?"),
    (HELLO, "ai: sort-message@^1", "ai: sort-message@^2", 12, 9, "no version of prompt 'sort-message'", ""),
    (HELLO, "tool: replies.write", "tool: replies.wrote", 24, 11, "replies.wrote", "replies.write"),
    (
        HELLO,
        "input: schemas/message.json",
        "input: schemas/mesage.json",
        7,
        8,
        "schemas/mesage.json",
        "schemas/message.json",
    ),
    # policies and schemas
    ("policies/hello.cedar", "permit (principal, action", "permit (principl, action", 5, 9, "", ""),
    ("schemas/message.json", '"type": "object"', '"type": "objekt"', 0, 0, "", ""),
    ("schemas/message.json", '"title": "A message",', '"title": "A message"', 4, 3, "This is not JSON", ""),
    ("tools/replies.py", "def write(", "def write", 12, 0, "This is not Python", ""),
]


def test_the_template_has_no_problem() -> None:
    assert load_project_files(template_files()).name == "hello"


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]}-{change[2][:40]}")
def test_each_mistake_is_placed_and_answered(change: tuple[str, str, str, int, int, str, str]) -> None:
    file, old, new, line, column, detail, suggestion = change
    problems = [problem for problem in problems_of(changed(file, old, new)) if problem.file == file]
    assert problems, "no problem in the changed file"
    fitting = [
        problem
        for problem in problems
        if detail in problem.detail
        and suggestion in (problem.suggestion or "")
        and (not line or problem.line == line)
        and (not column or problem.column == column)
    ]
    assert fitting, "\n".join(map(str, problems))
