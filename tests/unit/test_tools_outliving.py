"""A write in a thread that outlives its timeout, and the lag that a contract declares."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from signoff.capabilities.tools import ToolRunner
from signoff.catalog.model import Project
from signoff.catalog.projects import load_project_files
from signoff.core.errors import DefinitionError, StepError

CODE = b"""
import os
import time

def pay(arguments):
    while not os.path.exists(arguments["gate"]):
        time.sleep(0.005)
    open(arguments["gate"] + ".paid", "w").close()
    return {}

def find(arguments):
    if not os.path.exists(arguments["gate"] + ".paid"):
        raise LookupError(arguments["gate"])
    return {}
"""
PAY = """tool: pay
about: Pays when the gate is there.
effect: write
python: "tools/code.py:pay"
input:
  type: object
  properties: {gate: {type: string, x-signoff: {sink: any}}, key: {type: string}}
  required: [gate]
  additionalProperties: false
output: {type: object}
timeout: 50ms
settle: 3s
idempotency: {argument: key, recovery: lookup, lookup: {tool: find, argument: key}}
"""
FIND = """tool: find
about: Looks whether it paid.
effect: none
python: "tools/code.py:find"
input:
  type: object
  properties: {gate: {type: string}, key: {type: string}}
  required: [gate, key]
  additionalProperties: false
output: {type: object}
errors: {LookupError: {kind: not_found}}
"""


def project(pay: str = PAY, find: str = FIND) -> Project:
    files = {
        "signoff.yaml": b"project: outliving\n",
        "tools/code.py": CODE,
        "tools/pay.yaml": pay.encode(),
        "tools/find.yaml": find.encode(),
    }
    return load_project_files(files)


async def test_a_look_up_waits_for_the_thread_that_may_still_act(tmp_path: Path):
    made, gate = project(), tmp_path / "gate"
    runner, arguments = ToolRunner(), {"gate": str(gate)}
    common: dict[str, Any] = {"idempotency_key": "k", "files": made.files}
    with pytest.raises(StepError) as raised:
        await runner.call(made.tools["pay"], arguments, **common)
    assert raised.value.outcome_unknown
    looking = asyncio.create_task(runner.look_up(made.tools["pay"], made.tools, arguments, **common))
    other = await runner.look_up(made.tools["pay"], made.tools, arguments, idempotency_key="j", files=made.files)
    assert other is None  # a call of another key is nobody's business
    assert not looking.done()
    gate.touch()
    found = await asyncio.wait_for(looking, 10)
    assert found is not None
    await runner.close()


def test_a_declared_lag_is_added_to_the_time_before_a_look_up():
    assert project().tools["pay"].settle_s == 3.0
    assert project().tools["find"].settle_s == 0.0


def test_a_lag_of_a_tool_that_only_reads_is_a_mistake():
    with pytest.raises(DefinitionError) as raised:
        project(find=FIND + "settle: 1s\n")
    assert "'settle' is the lag of a write" in str(raised.value)
