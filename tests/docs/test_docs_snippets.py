"""Every snippet is what it says it is: documents parse and compile, policies parse, Python runs, commands exist."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from typing import Any

import pytest
import typer.main
from support.docs_pages import CHECKOUT, LANGUAGES, Page, Snippet, pages

from signoff.catalog.projects import load_project, load_project_files
from signoff.cli.main import app
from signoff.governance.policy import PolicySet
from signoff.workflows import load_document

SNIPPETS = [snippet for page in pages() for snippet in page.snippets]
COMMAND: Any = typer.main.get_command(app)
PROGRAMS = frozenset({"signoff", "make", "cd", "export", "sudo", "python", ".venv/bin/python", "curl"})
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")


def of(*languages: str) -> list[Any]:
    return [pytest.param(snippet, id=str(snippet)) for snippet in SNIPPETS if snippet.language in languages]


def test_every_snippet_says_its_language() -> None:
    assert [str(snippet) for snippet in SNIPPETS if snippet.language not in LANGUAGES] == []


@pytest.mark.parametrize("snippet", of("yaml"))
def test_yaml_is_strict_yaml(snippet: Snippet) -> None:
    load_document(snippet.text, snippet.page)


@pytest.mark.parametrize("snippet", of("json"))
def test_json_is_json(snippet: Snippet) -> None:
    json.loads(snippet.text)


@pytest.mark.parametrize("snippet", of("cedar"))
def test_policies_parse(snippet: Snippet) -> None:
    assert PolicySet.parse({snippet.page: snippet.text}).warnings() == ()


@pytest.mark.parametrize("snippet", of("python"))
def test_python_runs(snippet: Snippet) -> None:
    exec(compile(snippet.text, str(snippet), "exec"), {"__name__": "snippet"})


def test_the_project_s_files_in_the_reference_make_a_project() -> None:
    """Each kind of file on the page about a project's files, put where it belongs, passes the check together."""
    by_key: dict[str, str] = {}
    for snippet in SNIPPETS:
        if snippet.page != "docs/reference/project.md":
            continue
        if snippet.language == "markdown":
            by_key["prompts/classify.md"] = snippet.text
        elif snippet.text.startswith("project:"):
            by_key["signoff.yaml"] = snippet.text
        elif snippet.text.startswith("models:"):
            # The example routes a prompt that the page does not show.
            by_key["models.yaml"] = snippet.text
        elif snippet.text.startswith("rule:"):
            by_key["rules/refund-limits.yaml"] = snippet.text
    tool = next(s.text for s in SNIPPETS if s.page == "docs/reference/tools.md" and s.language == "yaml")
    files = {**by_key, "tools/refund.yaml": tool}
    project = load_project_files({name: text.encode() for name, text in files.items()})
    assert set(project.tools) == {"payments.refund"}
    assert set(project.rules) == {"refund-limits"}


def test_the_example_is_sound() -> None:
    assert "support/refund" in load_project(CHECKOUT / "examples/refunds").workflows


def commands(page: Page) -> list[tuple[str, str]]:
    """Lines of shell, with their places; in the template's README they are indented."""
    found = [
        (f"{snippet.page}:{snippet.line + offset}", line)
        for snippet in page.snippets
        if snippet.language == "sh"
        for offset, line in enumerate(snippet.text.splitlines())
    ]
    if not page.snippets:
        found += [(page.name, line) for line in page.text.splitlines() if line.startswith("    signoff ")]
    return [(place, line) for place, line in found if line.strip()]


LINES = [pytest.param(line.strip(), id=place) for page in pages() for place, line in commands(page)]


@pytest.mark.parametrize("line", LINES)
def test_commands_exist_and_take_what_is_given(line: str) -> None:
    parts = shlex.split(line, comments=True)
    while parts and ASSIGNMENT.fullmatch(parts[0]):
        parts.pop(0)
    program, arguments = parts[0], parts[1:]
    assert program in PROGRAMS, f"'{program}' is not a command that the documentation may use"
    if program == "signoff":
        parse(COMMAND, "signoff", arguments)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE)
        wanted = [part for part in arguments if not ASSIGNMENT.fullmatch(part)]
        assert set(wanted) <= set(targets)
    elif program.endswith("python") and arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1].split(".")[0]) is not None


def parse(command: Any, name: str, arguments: list[str], parent: Any = None) -> None:
    """Parse a command line as the real command does, without running it; wrong usage raises."""
    context = command.make_context(name, list(arguments), parent=parent)
    if not hasattr(command, "resolve_command"):
        return
    rest = [*context._protected_args, *context.args]
    if rest:
        found, subcommand, remaining = command.resolve_command(context, rest)
        parse(subcommand, found, remaining, context)


INLINE = sorted(
    {(page.name, code) for page in pages() for code in page.codes if re.match(r"signoff [a-z]", code)},
)


@pytest.mark.parametrize(("place", "code"), INLINE)
def test_commands_named_in_the_text_exist(place: str, code: str) -> None:
    command: Any = COMMAND
    for word in code.split()[1:]:
        known = getattr(command, "commands", None)
        if known is None or not re.fullmatch(r"[a-z]+", word):
            break
        assert word in known, f"{place}: '{code}': there is no command '{word}'"
        command = known[word]
