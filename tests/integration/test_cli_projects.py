"""`signoff init` and `signoff check`: what is wrong is told at its place."""

from __future__ import annotations

import json
from pathlib import Path

from support.cli_cases import signoff


def test_a_new_project_is_sound(tmp_path: Path) -> None:
    made = signoff("init", "my-app", cwd=tmp_path)
    assert (made.code, made.err) == (0, "")
    assert "signoff dev" in made.out
    checked = signoff("check", "my-app", cwd=tmp_path)
    assert checked.code == 0
    assert "hello" in checked.out
    inside = signoff("check", "--json", cwd=tmp_path / "my-app" / "workflows")
    assert json.loads(inside.out)["project"] == "my-app"
    assert "\x1b" not in checked.out


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    assert signoff("init", "my-app", cwd=tmp_path).code == 0
    (tmp_path / "my-app" / "signoff.yaml").write_text("project: mine\n")
    again = signoff("init", "my-app", cwd=tmp_path)
    assert again.code == 5
    assert "Nothing was written" in again.err
    assert (tmp_path / "my-app" / "signoff.yaml").read_text() == "project: mine\n"


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    result = signoff("init", "1", cwd=tmp_path)
    assert result.code == 1
    assert not (tmp_path / "1").exists()


def test_every_problem_is_told_with_file_line_column_and_suggestion(tmp_path: Path) -> None:
    signoff("init", "my-app", cwd=tmp_path)
    workflow = tmp_path / "my-app" / "workflows" / "hello.yaml"
    text = workflow.read_text()
    workflow.write_text(text.replace("sort-message@^1", "sort-mesage@^1").replace("expire: 7d", "expires: 7d"))
    result = signoff("check", "my-app", cwd=tmp_path)
    assert result.code == 1
    lines = result.out.splitlines()
    assert any(line.startswith("workflows/hello.yaml:") and "sort-message" in line for line in lines)
    assert any(line.startswith("workflows/hello.yaml:") and "expire" in line for line in lines)
    found = json.loads(signoff("check", "my-app", "--json", cwd=tmp_path).out)
    assert found["ok"] is False
    assert all({"file", "line", "column", "detail"} <= problem.keys() for problem in found["problems"])
    assert len(found["problems"]) >= 2


def test_expressions_policies_and_missing_tools_are_checked(tmp_path: Path) -> None:
    signoff("init", "my-app", cwd=tmp_path)
    root = tmp_path / "my-app"
    workflow = root / "workflows" / "hello.yaml"
    changed = workflow.read_text().replace("sorted.confidence < 0.6", "sorted.confidence < 'low'")
    workflow.write_text(changed.replace("tool: replies.write", "tool: replies.wirte"))
    (root / "policies" / "broken.cedar").write_text("permit (principal, action, resource")
    result = signoff("check", cwd=root)
    assert result.code == 1
    assert "policies/broken.cedar:1" in result.out
    assert "replies.write" in result.out
    assert result.out.count("workflows/hello.yaml:") >= 2


def test_a_directory_without_a_project_says_what_to_do(tmp_path: Path) -> None:
    result = signoff("check", cwd=tmp_path)
    assert result.code == 1
    assert "signoff init" in result.out


def test_dev_on_a_broken_project_tells_the_problems_and_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "signoff.yaml").write_text("project: [\n")
    result = signoff("dev", cwd=tmp_path)
    assert result.code == 1
    assert "signoff.yaml:" in result.err
    assert not (tmp_path / ".signoff" / "postgres").exists()


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    result = signoff("dev", cwd=tmp_path, variables={"SIGNOFF_API__PORT": "many"})
    assert result.code == 1
    assert "SIGNOFF_API__PORT" in result.err
