"""A use of a fragment runs as a scope of its own: its steps see the arguments, also after the run was loaded again."""

from __future__ import annotations

from dataclasses import replace

from support.engine import HEAD, ScriptedTool, contracts, ended, journal, running, start

from signoff.core.errors import Problem
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done
from signoff.workflows import Workflow, compile_workflow
from signoff.workflows.fragment_checks import check_fragments
from signoff.workflows.fragments import read_fragments

FRAGMENT = """\
fragment: asked
parameters: {n: {type: integer}, by: {type: integer, default: 2}}
steps:
  n: {set: {value: "${given.n * given.by}"}}
  got: {after: n, tool: t.get, with: {n: "${n.value + given.n}"}}
  both: {requires: got, set: {total: "${n.value + given.by}"}}
give: {total: "${both.total}"}
"""
BODY = """
steps:
  n: {set: {value: 5}}
  first: {use: asked, with: {n: "${n.value}"}}
  second: {use: asked, with: {n: "${first.total}", by: 3}}
outcome: {fine: {when: second.done, give: {total: "${second.total}"}}}
"""


def compiled() -> Workflow:
    problems: list[Problem] = []
    fragments = read_fragments({"fragments/asked.yaml": FRAGMENT}, problems)
    known = check_fragments(replace(contracts({"t.get": False}), fragments=fragments), problems)
    assert problems == []
    return compile_workflow(HEAD.format(name="uses") + BODY, "workflows/uses.yaml", known)


async def test_a_use_sees_its_arguments_and_its_own_steps(database: Database) -> None:
    workflow = compiled()
    tool = ScriptedTool({"t.get": lambda call: Done({})})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {"n": 1})
        run = await ended(database, run_id)
    assert (run.status, run.outcome) == ("done", "fine")
    events = await journal(database, run_id)
    ends = {event.data["step"]: event.data.get("output") for event in events if event.kind == "step.ended"}
    assert ends["first"] == {"total": 12}
    assert ends["second[0]/n"] == {"value": 36}
    assert ends["second"] == {"total": 39}
