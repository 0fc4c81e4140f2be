"""`signoff fmt`, `schema`, `diagram`, `explain`, `confidence`; and that every example of a command's help is one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.cli_cases import inside
from typer.core import TyperGroup
from typer.main import get_command

from signoff.cli.main import app

RUN_ID = "01a20440-3281-7b63-b1ac-f7b602e94a9d"
HELLO = "workflows/hello.yaml"


def commands(command: Any) -> Iterator[Any]:
    yield command
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            yield from commands(inner)


def test_every_example_of_the_help_is_understood() -> None:
    root: Any = get_command(app)
    found = 0
    for command in commands(root):
        for line in (command.epilog or "").splitlines():
            words = shlex.split(line.partition("|")[0].partition(">")[0], comments=True)
            if words[:1] != ["signoff"]:
                continue
            found += 1
            group, given, context = root, words[1:], None
            while isinstance(group, TyperGroup) and given and given[0] in group.commands:
                context = group.make_context(given[0], [], parent=context, resilient_parsing=True)
                group, given = group.commands[given[0]], given[1:]
            assert group is not root, line
            if not isinstance(group, TyperGroup):
                whole = [RUN_ID if "…" in word or word == "RUN" else word for word in given]
                group.make_context(group.name, whole, parent=context)  # wrong usage raises
    assert found > 50


def test_a_project_is_laid_out_drawn_and_explained(new_project: Path) -> None:
    assert inside("fmt", "--check", cwd=new_project).code == 0
    path = new_project / HELLO
    path.write_text(path.read_text().replace("steps:\n", "steps:\n\n\n", 1) + "\n\n")
    told = inside("fmt", "--check", "--json", cwd=new_project)
    assert (told.code, HELLO in told.out) == (1, True)
    assert inside("fmt", cwd=new_project).code == 0
    assert inside("fmt", "--check", cwd=new_project).code == 0
    assert inside("diagram", cwd=new_project).out.lstrip().startswith("<svg")
    assert inside("diagram", "-o", "hello.svg", cwd=new_project).code == 0
    assert "<svg" in (new_project / "hello.svg").read_text()
    assert "flowchart" in inside("diagram", "hello", "--format", "mermaid", cwd=new_project).out
    assert json.loads(inside("schema", cwd=new_project).out)["properties"]["steps"]
    explained = json.loads(inside("explain", "flow", "answer.label", "--json", cwd=new_project).out)
    assert "confined" in json.dumps(explained)


BAD: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("diagram", "helo"), 3, "hello"),
    (("diagram", "--format", "png"), 2, "png"),
    (("explain", "flow", "nothing.at"), 3, "nothing"),
    (("schema", "poem"), 2, "poem"),
    (("fmt", "nowhere"), 3, "nowhere"),
    (("confidence", "fit", "nothing", "--cases", "no.jsonl"), 3, "no prompt"),
)


def test_what_cannot_be_done_is_told(new_project: Path) -> None:
    for arguments, code, said in BAD:
        result = inside(*arguments, cwd=new_project)
        assert (result.code, said in result.err + result.out) == (code, True), (arguments, result)
        assert "Traceback" not in result.err
