"""What one run emits reaches the runs that wait for it: once, whoever comes first and whatever dies."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from support.api_cases import working
from support.engine import ACTOR, ended, until, waits_for
from tests.support.crashing import folded

from signoff.catalog.projects import load_project_files
from signoff.catalog.releases import point_environment, register
from signoff.core.clock import SystemClock
from signoff.core.errors import InvalidError
from signoff.foundation.database import Database
from signoff.runtime import StartRequest, start_run
from signoff.runtime.waits import IncomingEvent, post_event

HEAD = """version: 1.0.0
about: A test.
owner: team/test
risk: low
input:
  type: object
  properties: {n: {type: integer, x-signoff: {class: confidential}}}
  required: [n]
  additionalProperties: false
"""
TELLS = f"""workflow: one/tells
{HEAD}steps:
  tell: {{emit: counted.v1, payload: {{n: "${{input.n}}"}}}}
outcome: {{told: tell.done}}
"""
HEARS = f"""{HEAD}steps:
  heard: {{wait: {{event: counted.v1, match: {{n: "${{input.n}}"}}}}}}
  kept: {{set: {{n: "${{heard.event.n}}"}}}}
outcome: {{heard: {{when: kept.done, give: {{n: "${{kept.n}}"}}}}}}
"""
ALL = '@id("all")\npermit (principal, action, resource);\n'
DEAF = ALL + '@id("deaf")\nforbid (principal, action == Action::"event.send", resource);\n'


class Deployed:
    """Two projects: `one` tells and hears; `two` hears, if its policy lets it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._places: dict[str, tuple[Any, str]] = {}

    async def deploy(self, name: str, policy: str, **workflows: str) -> None:
        files = {"signoff.yaml": f"project: {name}\nroles: {{lead: Leads.}}\n", "policies/all.cedar": policy}
        files |= {f"workflows/{key}.yaml": text for key, text in workflows.items()}
        made = load_project_files({path: text.encode() for path, text in files.items()})
        async with self._database.transaction(ACTOR.org_id) as connection:
            digest = await register(connection, ACTOR.org_id, made, ACTOR)
            await point_environment(connection, ACTOR.org_id, made.name, "dev", digest, actor=ACTOR)
        for workflow in made.workflows.values():
            self._places[workflow.name] = (workflow, digest)

    async def start(self, name: str, n: int) -> UUID:
        workflow, digest = self._places[name]
        async with self._database.transaction(ACTOR.org_id) as connection:
            request = StartRequest(workflow, digest, {"n": n}, ACTOR, project=name.partition("/")[0])
            return (await start_run(connection, request, now=SystemClock().now())).run_id


@pytest.fixture
async def deployed(database: Database) -> Deployed:
    made = Deployed(database)
    await made.deploy("one", ALL, tells=TELLS, hears=f"workflow: one/hears\n{HEARS}")
    return made


async def test_emitted_events_reach_waits_that_opened_before_and_after(database: Database, deployed: Deployed) -> None:
    async with working(database):
        before = await deployed.start("one/hears", 1)
        other = await deployed.start("one/hears", 2)
        await until(database, before, waits_for("event"))
        await ended(database, await deployed.start("one/tells", 1))
        assert (await ended(database, before)).outcome == "heard"
        await ended(database, await deployed.start("one/tells", 3))
        after = await deployed.start("one/hears", 3)
        assert (await ended(database, after)).outcome == "heard"
        await until(database, other, waits_for("event"))
    end = (await folded(database, before)).steps["heard"].state
    assert end is not None
    assert end.labels.data_class.name == "CONFIDENTIAL"
    assert end.labels.trust.name == "UNTRUSTED"


@pytest.mark.parametrize("policy", [ALL, DEAF])
async def test_another_projects_runs_get_it_where_its_policy_lets_it_in(
    database: Database, deployed: Deployed, policy: str
) -> None:
    await deployed.deploy("two", policy, hears=f"workflow: two/hears\n{HEARS}")
    async with working(database):
        run_id = await deployed.start("two/hears", 1)
        await until(database, run_id, waits_for("event"))
        await ended(database, await deployed.start("one/tells", 1))
        if policy == ALL:
            assert (await ended(database, run_id)).outcome == "heard"
        else:
            await until(database, run_id, waits_for("event"))


async def test_nobody_outside_may_speak_as_a_run(database: Database) -> None:
    event = IncomingEvent(ACTOR.org_id, "x", "signoff:run/1", "counted.v1", {}, "user/ana", ("one",))
    async with database.transaction(ACTOR.org_id) as connection:
        with pytest.raises(InvalidError):
            await post_event(connection, event, now=SystemClock().now())
