"""`POST /v1/events`: events from outside reach the runs that wait, where policy lets them in; and calls, for real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.api_cases import FILES, deployed, serving, started, until, working

from signoff.foundation.database import Database

SHIP = """
workflow: desk/ship
version: 1.0.0
about: Ships what was paid.
owner: team/desk
risk: low
input: schemas/ask.json
steps:
  paid: {wait: {event: payment.received.v1, match: {order: "${input.text}"}}}
  sum: {requires: paid, call: desk/sum, with: {text: "${input.text}", cents: "${input.cents}"}}
outcome:
  shipped: {when: sum.done, give: {cents: "${sum.output.cents}", run: "${sum.run_id}"}}
"""
SUM = """
workflow: desk/sum
version: 1.0.0
about: Adds one.
owner: team/desk
risk: low
input: schemas/ask.json
steps:
  sum: {set: {cents: "${input.cents + 1}"}}
outcome:
  summed: {when: sum.done, give: {cents: "${sum.cents}"}}
"""
POLICY = """
@id("bank-sends")
permit (principal in Role::"clerk", action == Action::"event.send", resource == Event::"payment.received.v1");
"""
EVENT: Mapping[str, Any] = {
    "specversion": "1.0",
    "id": "p-1",
    "source": "/bank",
    "type": "payment.received.v1",
    "data": {"order": "o-1", "cents": 5},
}
RUN = {"workflow": "desk/ship", "input": {"text": "o-1", "cents": 7}}


async def test_an_event_moves_the_run_that_waits_for_it_and_calls_another(database: Database) -> None:
    files = {**FILES, "workflows/ship.yaml": SHIP, "workflows/sum.yaml": SUM}
    await deployed(database, {**files, "policies/desk.cedar": FILES["policies/desk.cedar"] + POLICY})
    async with serving(database) as api, working(database), api.client("clerk") as client:
        run_id = await started(client, RUN)
        path = f"/v1/runs/{run_id}"
        await until(client, path, lambda run: run["status"] == "waiting")
        answer = await client.post("/v1/events", json=EVENT)
        assert (answer.status_code, answer.json()) == (202, {"id": "p-1", "created": True, "runs": 1})
        again = await client.post("/v1/events", json=EVENT)
        assert (again.status_code, again.json()) == (200, {"id": "p-1", "created": False, "runs": 0})
        run = await until(client, path, lambda run: run["ended_at"] is not None)
        assert run["outcome"] == "shipped"
        journal = (await client.get(f"{path}/journal")).json()["items"]
        end = journal[-1]["data"]
        assert end["output"]["cents"] == 8
        child = (await client.get(f"/v1/runs/{end['output']['run']}")).json()
        assert (child["workflow"], child["outcome"]) == ("desk/sum", "summed")


async def test_events_need_a_permit_and_have_limits(database: Database) -> None:
    await deployed(database)
    async with serving(database) as api, api.client("lead") as client:
        assert (await client.post("/v1/events", json=EVENT)).status_code == 403
        assert (await client.post("/v1/events", json={**EVENT, "id": ""})).status_code == 422
        assert (await client.post("/v1/events", json={**EVENT, "colour": "red"})).status_code == 422
