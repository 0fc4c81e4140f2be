"""`signoff check` in several processes says what it says in one: of sound projects, of bad ones, whatever happens."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from support.catalog_files import template_files
from support.docs_pages import CHECKOUT

from signoff.catalog.ahead import MIN_FILES
from signoff.catalog.parts import MIN_SHARE

LIMIT_S = 120
WORKFLOW = """\
workflow: many/w{number}
version: 1.0.0
input: {{type: object, properties: {{text: {{type: string}}, name: {{type: string}}}}, required: [text, name]}}
steps:
  sorted: {{ai: sort-message@^1, with: {{text: "${{input.text}}"}}}}
  reply:
    {extra}
outcome: {{done: 'true'}}
"""
PROMPT = """\
---
name: p{number}
version: 1.0.0
purpose: A test.
task: classify
input: {{type: object, properties: {{text: {{type: string}}}}, required: [text], additionalProperties: false}}
labels: {{a: "One.", b: "Another."}}
---
# user
{{{{ text }}}}
"""
FINE = 'set: {label: "${sorted.label}"}'
LITERAL = "set: {label: sorted.label}"
UNKNOWN = 'set: {label: "${sorted.lable}"}'
UNSAFE = '{tool: pay, with: {payee: "${input.text}"}, once: "pay/${input.name}"}'
PAY = """\
tool: pay
about: Pays.
effect: write
http: {method: POST, url: "https://pay.example/x"}
input:
  type: object
  properties: {payee: {type: string, x-signoff: {sink: trusted}}}
  required: [payee]
  additionalProperties: false
output: {type: object}
idempotency: {recovery: ask}
trigger: any
"""

FILES = [f"workflows/w{number:03}.yaml" for number in range(2 * MIN_SHARE)]

COMPARE = """
import contextlib, io, json, os, sys
from pathlib import Path
from signoff.cli import checking

def told(directory, jobs):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        checking.check_once(Path(directory), as_json=True, jobs=jobs)
    return json.loads(out.getvalue())

forks, fork = [], os.fork
def counted():
    forks.append(1)
    return fork()
os.fork = counted
for directory in sys.argv[1:]:
    one = told(directory, 1)
    assert not forks
    two = told(directory, 2)
    assert one == two, directory
    print(json.dumps({"forks": len(forks), **one}))
    forks.clear()
"""


def compared(*directories: Path) -> list[dict[str, Any]]:
    """What one process says of each project; two say the same."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(COMPARE), *map(str, directories)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def large(directory: Path, files: dict[str, str] | None = None, **odd: str) -> Path:
    """A project of two parts; `odd` is what a few of its workflows do."""
    made = {name: content.decode() for name, content in template_files().items()} | {"tools/pay.yaml": PAY}
    for number in range(2 * MIN_FILES - 2 * MIN_SHARE):
        made[f"prompts/p{number}.md"] = PROMPT.format(number=number)
    for number in range(2 * MIN_SHARE):
        made[f"workflows/w{number:03}.yaml"] = WORKFLOW.format(number=number, extra=odd.get(f"w{number}", FINE))
    for name, text in (made | (files or {})).items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return directory


def test_large_projects(tmp_path: Path) -> None:
    sound, told, unknown, unsafe = compared(
        large(tmp_path / "sound"),
        large(tmp_path / "literal", w0=LITERAL, w39=LITERAL, w20=LITERAL),
        large(tmp_path / "unknown", w7=UNKNOWN, w38=UNKNOWN, w8=UNSAFE),
        large(tmp_path / "unsafe", w7=UNSAFE, w38=UNSAFE, w20=LITERAL),
    )
    assert sound["ok"], sound
    assert sound["forks"] == 2  # to read ahead, and to check
    assert [warning["file"] for warning in told["warnings"]] == [FILES[0], FILES[20], FILES[39]]
    assert [problem["file"] for problem in unknown["problems"]] == [FILES[7], FILES[38]]
    assert "flow-argument" in {problem["code"] for problem in unsafe["problems"]}
    assert list(dict.fromkeys(problem["file"] for problem in unsafe["problems"])) == [FILES[7], FILES[38]]


BAD = {
    "name": {"workflows/w003.yaml": WORKFLOW.format(number=4, extra=FINE)},
    "yaml": {"workflows/w003.yaml": "a: [", "prompts/broken.md": "no front matter"},
    "cycle": {
        f"workflows/w00{a}.yaml": WORKFLOW.format(number=a, extra=f"call: many/w{b}") for a, b in ((1, 2), (2, 1))
    },
    "schedule": {"schedules/s.yaml": "schedule: s\nworkflow: many/w77\ncron: '0 6 * * *'\nas: [operator]\ninput: {}\n"},
    "python": {"workflows/code.py": "def broken(:\n"},
}


def test_large_projects_with_something_bad_in_them(tmp_path: Path) -> None:
    directories = [large(tmp_path / name, files) for name, files in BAD.items()]
    for found, name in zip(compared(*directories), BAD, strict=True):
        assert not found["ok"], name
        assert found["problems"], name


def test_the_projects_of_this_repository() -> None:
    found = compared(*sorted(file.parent for file in (CHECKOUT / "examples").glob("*/signoff.yaml")))
    assert found
    assert all(one["ok"] for one in found)


def test_a_process_that_is_killed_costs_nothing_but_time(tmp_path: Path) -> None:
    killing = """
    import os, signal, sys
    from pathlib import Path
    from signoff.cli import checking
    own, part = os.getpid(), checking._part
    def dies(*given):
        if os.getpid() != own:
            os.kill(os.getpid(), signal.SIGKILL)
        return part(*given)
    checking._part = dies
    sys.exit(not checking.check_once(Path(sys.argv[1]), as_json=False, jobs=2))
    """
    directory = large(tmp_path / "sound")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(killing), str(directory)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "A process that checked a part of the project was ended by signal 9." in done.stderr
    assert f"many/w{2 * MIN_SHARE - 1}" in done.stdout
