"""`signoff prompts`: the registry's versions, labels and scores; other registries' forms, there and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.cli_cases import PROMPT, Run, edited, inside, lines, parsed

CASES = """tests:
  - {name: asks, input: {text: "When do you open on Sunday?"}, expect: {label: question}, answer: {label: question}}
  - {name: thanks, input: {text: "Thanks, wonderful service!"}, expect: {label: praise}, answer: {label: complaint}}
limits: {max"""


def test_versions_labels_and_what_points_at_them(new_project: Path, run: Run) -> None:
    assert run("deploy", "dev", "-m", "The first").code == 0
    edited(new_project, "You sort messages.", "You sort what people write.")
    edited(new_project, "version: 1.0.0", "version: 1.0.1")
    assert run("release", "-m", "Clearer").code == 0
    moved = parsed(run("prompts", "label", "sort-message", "candidate", "1.0.1", "-m", "Try it", "--json"))
    assert (moved["version"], moved["place"]) == ("1.0.1", 1)
    assert run("prompts", "label", "sort-message", "production", "1.0.0").code == 0
    stale = run("prompts", "label", "sort-message", "production", "candidate", "--expect", "0")
    assert (stale.code, "Look at it again" in stale.err) == (5, True)
    assert (
        "is at sort-message@1.0.1 (place 2)" in run("prompts", "label", "sort-message", "production", "candidate").out
    )
    history = lines(run("prompts", "history", "sort-message", "--json"))
    assert [(one["version"], one["labels"], one["environments"]) for one in history] == [
        ("1.0.1", ["candidate", "production"], []),
        ("1.0.0", [], ["dev"]),
    ]
    assert "candidate, production" in run("prompts", "list").out
    assert "labels: candidate, production" in run("prompts", "show", "sort-message", "candidate").out
    moves = lines(run("prompts", "labels", "sort-message", "production", "--json"))
    assert [(one["version"], one["before"]) for one in moves] == [("1.0.1", "1.0.0"), ("1.0.0", None)]
    difference = parsed(run("prompts", "diff", "sort-message", "1.0.0", "production", "--json"))
    assert (difference["after"], difference["bump"]) == ("1.0.1", "patch")
    assert "is at no version" in run("prompts", "label", "sort-message", "candidate", "--remove").out
    assert len(lines(run("prompts", "labels", "sort-message", "--json"))) == 1
    assert run("prompts", "show", "sort-message", "candidate").code == 3


def test_cases_are_run_and_kept_as_a_score(new_project: Path, run: Run) -> None:
    edited(
        new_project,
        "limits: {max",
        CASES.replace("label: question}}", "label: question, confidence: 0.9}}").replace(
            "label: complaint}}", "label: complaint, confidence: 0.9}}"
        ),
    )
    scripted = run("prompts", "test", "--scripted", "--json")
    assert (scripted.code, [case["passed"] for case in json.loads(scripted.out)]) == (1, [True, False])
    assert run("prompts", "test", "--scripted", "--record").code == 2
    unreleased = run("prompts", "test", "--record")
    assert unreleased.code == 3
    assert run("release").code == 0
    kept = run("prompts", "test", "--record")
    assert (kept.code, "Kept accuracy 1 of sort-message@1.0.0 by local/minilm" in kept.err) == (0, True), kept
    (score,) = parsed(run("prompts", "show", "sort-message", "--json"))["scores"]
    assert (score["metric"], score["value"], score["n"], score["dataset"]) == ("accuracy", 1.0, 2, "tests")
    edited(new_project, "You sort messages.", "You sort what people write.")
    other = run("prompts", "test", "--record")
    assert (other.code, "new version" in other.err) == (5, True)


@pytest.mark.parametrize("form", ["langfuse", "langsmith"])
def test_a_prompt_goes_to_another_registry_and_comes_back(new_project: Path, run: Run, form: str) -> None:
    before = (new_project / PROMPT).read_text()
    exported = new_project / "exported.json"
    exported.write_text(run("prompts", "export", "sort-message", "--form", form).out)
    there = run("prompts", "import", "exported.json", "--form", form)
    assert (there.code, "there already" in there.err) == (5, True)
    (new_project / PROMPT).unlink()
    assert run("prompts", "import", "exported.json", "--form", form).code == 0
    assert (new_project / PROMPT).read_text() == before
    # Somebody edits the words there: they come back, and the contract stays.
    data: dict[str, Any] = json.loads(exported.read_text())
    exported.write_text(json.dumps(data).replace("You sort messages.", "You sort what people write.", 1))
    (new_project / PROMPT).unlink()
    edited_there = run("prompts", "import", "exported.json", "--form", form)
    assert (edited_there.code, "another version" in edited_there.err) == (0, True)
    text = (new_project / PROMPT).read_text()
    assert ("what people write" in text, "task: classify" in text) == (True, True)
    assert run("check").code == 0


def test_many_prompts_come_over_at_once_and_what_does_not_is_told(new_project: Path, run: Run) -> None:
    given = [{"name": name, "version": 1, "prompt": text} for name, text in (("a", "Hi {{x}}."), ("b", "{{#if}}"))]
    (new_project / "all.json").write_text(json.dumps({"data": [*given, {"name": "y" * 300, "prompt": "Hi."}]}))
    result = run("prompts", "import", "all.json", "--form", "langfuse")
    assert (result.code, (new_project / "prompts" / "a.md").is_file()) == (1, True), result
    assert ("not taken over: b:" in result.err, "cannot be written" in result.err) == (True, True), result
    assert "Traceback" not in result.err


SCORE = ("score", "sort-message", "1.0.0")
BAD: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("show", "sort-message"), 3, "released no prompt"),
    (("label", "sort-message", "production", "1.0.0"), 3, "released no prompt"),
    (("label", "sort-message", "production"), 2, "--remove"),
    (("label", "sort-message", "Production", "1.0.0"), 1, "no label"),
    ((*SCORE, "accuracy", "much"), 2, "valid number"),
    (("test", "nothing"), 3, "no prompt"),
    (("export", "sort-message", "--form", "other"), 2, "langfuse"),
    (("import", "nothing.json", "--form", "langfuse"), 1, "cannot be read"),
    (("import", "signoff.yaml", "--form", "langsmith"), 1, "cannot be read as JSON"),
)


def test_what_cannot_be_done_is_told(run: Run) -> None:
    for arguments, code, said in BAD:
        result = run("prompts", *arguments)
        assert (result.code, said in result.err + result.out) == (code, True), (arguments, result)
        assert "Traceback" not in result.err


def test_lint_tells_known_mistakes(new_project: Path) -> None:
    found = inside("prompts", "lint", "--json", cwd=new_project)
    codes = {problem["code"] for problem in json.loads(found.out)}
    assert (found.code, "P009" in codes) == (1, True)
    fewer = inside("prompts", "lint", *(part for code in codes for part in ("--ignore", code)), cwd=new_project)
    assert fewer.code == 0
