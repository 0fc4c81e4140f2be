"""What `signoff check` says of workflows in Python: their heads, what they name, calls that a replay cannot repeat."""

from __future__ import annotations

import pytest

from signoff.catalog.projects import load_project_files
from signoff.catalog.python_workflows import code_warnings
from signoff.core.errors import DefinitionError
from signoff.workflows.python.lint import lint
from signoff.workflows.python.syntax import parse

HEAD = """from signoff.workflows.python import Context, workflow

@workflow("test/a", version="1.0.0", input={"type": "object"}, outcomes=["ok"])
async def a(ctx: Context, input):
    LINE
    return ctx.outcome("ok")
"""
PROJECT = {"signoff.yaml": b"project: test\nroles: [lead]\n"}


def warnings(line: str, imports: str = "", before: str = "") -> list[str]:
    code = f"{imports}\n{before}\n" + HEAD.replace("LINE", line)
    source = parse(code.encode(), "workflows/a.py")
    assert source is not None
    at = code.splitlines().index(f"    {line.splitlines()[0]}") + 1
    found = lint(source)
    assert all(problem.line in (at, at + 1) and problem.suggestion for problem in found), found
    return [problem.code for problem in found]


@pytest.mark.parametrize(
    ("line", "imports"),
    [
        ("at = time.time()", "import time"),
        ("at = now()", "from time import monotonic as now"),
        ("at = datetime.now()", "from datetime import datetime"),
        ("at = dt.datetime.utcnow()", "import datetime as dt"),
        ("n = random.random()", "import random"),
        ("n = uuid4()", "from uuid import uuid4"),
        ("home = os.environ['HOME']", "import os"),
        ("home = os.getenv('HOME')", "import os"),
        ("text = open('x').read()", ""),
        ("text = Path('x').read_text()", "from pathlib import Path"),
        ("got = requests.get('http://x')", "import requests"),
        ("got = httpx.AsyncClient()", "import httpx"),
        ("s = socket.socket()", "import socket"),
        ("await asyncio.sleep(1)", "import asyncio"),
        ("await asyncio.gather()", "import asyncio"),
        ("asyncio.create_task(x())", "import asyncio"),
        ("threading.Thread(target=print).start()", "import threading"),
        ("n = hash('x')", ""),
        ("names = [name for name in {'a', 'b'}]", ""),
        ("names = list(set(input))", ""),
        ("first = next(iter(frozenset(input)))", ""),
    ],
)
def test_what_may_differ_when_it_is_run_again_is_told(line: str, imports: str) -> None:
    assert set(warnings(line, imports)) == {"non-deterministic"}


@pytest.mark.parametrize(
    ("line", "imports"),
    [
        ("at = ctx.now()", ""),
        ("day = datetime.fromisoformat(input['day'])", "from datetime import datetime"),
        ("name = os.path.join('a', 'b')", "import os"),
        ("names = sorted({'a', 'b'})", ""),
        ("known = 'a' in {'a', 'b'}", ""),
        ("id = uuid.UUID(input['id'])", "import uuid"),
        ("at = time.time()  # signoff: deterministic because the answer is thrown away", "import time"),
    ],
)
def test_what_comes_out_the_same_is_not(line: str, imports: str) -> None:
    assert warnings(line, imports) == []


def test_an_escape_says_why() -> None:
    assert warnings("at = time.time()  # signoff: deterministic", "import time") == ["escape"]


@pytest.mark.parametrize("line", ["SEEN.append(1)", "SEEN[0] = 1", "del SEEN[0]", "global SEEN"])
def test_what_runs_share_is_told(line: str) -> None:
    assert warnings(line, before="SEEN = [0]") == ["shared-state"]


def test_a_table_of_the_module_may_be_read() -> None:
    assert warnings("limit = LIMITS['a']", before="LIMITS = {'a': 1}") == []


def test_a_command_that_nothing_awaits_is_told() -> None:
    assert warnings("ctx.tool('x')") == ["not-awaited"]


def problems(code: str) -> list[tuple[int | None, str]]:
    with pytest.raises(DefinitionError) as raised:
        load_project_files({**PROJECT, "workflows/a.py": code.encode()})
    found = raised.value.problems
    assert {problem.file for problem in found} == {"workflows/a.py"}
    return [(problem.line, f"{problem.detail} {problem.suggestion or ''}".strip()) for problem in found]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("await ctx.tool('shop.x')", "There is no tool named 'shop.x'."),
        ("await ctx.ai('classify@^3')", "There is no prompt 'classify'."),
        ("await ctx.retrieve('docs', 'q')", "There is no index named 'docs'."),
        ("await ctx.check('limits')", "There is no rule set named 'limits'."),
        ("await ctx.call('test/b')", "There is no workflow named 'test/b'. Did you mean 'test/a'?"),
        (
            "await ctx.review('?', by='role/leed')",
            "the role 'leed', which signoff.yaml does not list. Did you mean 'lead'?",
        ),
        ("await ctx.review('?', by='lead')", "role/support-lead"),
        ("await ctx.event('x', timeout='soon')", "'soon' is not a duration"),
        ("await ctx.emit('x', retry={'time': 3})", "Did you mean 'times'?"),
        ("return ctx.outcome('okay')", "no outcome 'okay'. Did you mean 'ok'?"),
    ],
)
def test_what_the_code_names_must_be_there(line: str, says: str) -> None:
    (found,) = problems(HEAD.replace("LINE", line))
    assert found[0] == 5
    assert says in found[1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('version="1.0.0"', 'version="one"', "A version has three numbers."),
        ('input={"type": "object"}', 'input="schemas/no.json"', "There is no schema named 'schemas/no.json'."),
        ('outcomes=["ok"]', "outcomes=ENDS", "This is no constant."),
        (', outcomes=["ok"]', "", "'outcomes' is missing."),
        (
            'version="1.0.0"',
            'version="1.0.0", owners="x"',
            "'owners' is not a key of a workflow. Did you mean 'owner'?",
        ),
        ("async def", "def", "A workflow is an async function."),
        ("ctx: Context, input", "ctx", "A workflow takes its context and its input."),
        ('"test/a"', '"Test A"', "'Test A' cannot be a workflow's name."),
    ],
)
def test_a_head_is_as_right_as_a_document_s(old: str, new: str, says: str) -> None:
    assert says in problems(HEAD.replace("LINE", "pass").replace(old, new))[0][1]


def test_a_project_is_read_without_running_its_code() -> None:
    code = "raise SystemExit('this file was run')\n" + HEAD.replace("LINE", "await ctx.wait('1h')")
    other = (
        b"workflow: test/b\nversion: 1.0.0\ninput: {type: object}\nsteps: {x: {call: test/a}}\noutcome: {ok: x.done}\n"
    )
    project = load_project_files({**PROJECT, "workflows/a.py": code.encode(), "workflows/b.yaml": other})
    assert set(project.workflows) == {"test/a", "test/b"}
    assert project.workflows["test/a"].python is not None
    assert code_warnings(project) == []


def test_what_it_requires_is_a_package_and_versions() -> None:
    ok = {**PROJECT, "signoff.yaml": b"project: test\npython: {requires: [orjson>=3]}\n"}
    loaded = load_project_files({**ok, "workflows/a.py": HEAD.replace("LINE", "pass").encode()})
    code = loaded.workflows["test/a"].python
    assert code is not None
    assert code.requires == ("orjson>=3",)
    with pytest.raises(DefinitionError, match="is no requirement"):
        load_project_files({"signoff.yaml": b"project: test\npython: {requires: ['x @ http://y']}\n"})
