"""What stands between a release and an environment: measured quality, and whose change it is; and labels."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from support.api_cases import deployed, serving
from support.delivery_cases import BASE, POLICIES, QUALITY, encoded, files, move, released

from signoff.foundation.database import Database

VERSION = f"{BASE}/prompts/support/classify/versions/1.0.0"
LABELS = f"{BASE}/prompts/support/classify/labels"
OVERRIDE = """
@id("leads-override") permit (principal in Role::"lead", action == Action::"release.override_quality", resource)
when { context.prompts.contains("support/classify") && context.metrics.contains("accuracy") && !context.measured };
"""
OWNED = """
@id("grave-workflows-need-their-owner")
forbid (principal, action == Action::"workflow.change", resource)
when { context.risk_level == 2 || context.data_class == 3 } unless { context.is_owner };
"""


async def scored(client: httpx.AsyncClient, value: float, model: str = "local/minilm") -> None:
    score = {"metric": "accuracy", "value": value, "n": 200, "dataset": "b77", "model": model}
    answer = await client.post(f"{VERSION}/scores", json=score)
    assert answer.status_code == 201, answer.text


async def test_a_release_whose_prompt_misses_its_threshold_is_not_deployed(database: Database) -> None:
    given = files(quality=QUALITY)
    given["policies/override.cedar"] = OVERRIDE
    await deployed(database, given)
    async with (
        serving(database) as api,
        api.client("deployer") as client,
        api.client("deployer", "lead", name="lea") as lead,
    ):
        release = await released(client, given)
        plan = (await client.post(f"{BASE}/environments/staging/plan", json={"release": release})).json()
        assert [(one["prompt"], one["metric"], one["measured"]) for one in plan["quality"]] == [
            ("support/classify", "accuracy", None)
        ]
        missing = await move(client, "staging", release, 0)
        told = missing.json()
        assert (missing.status_code, told["type"].rsplit("/", 1)[-1]) == (409, "quality-threshold")
        assert "support/classify@1.0.0: accuracy must be at least 0.9" in told["errors"][0]["detail"]
        assert "--record" in told["errors"][0]["suggestion"]
        await scored(client, 0.99, model="somebody/else")  # no route names it, so it says nothing
        assert (await move(client, "staging", release, 0, dry_run=True)).status_code == 409
        denied = await move(client, "staging", release, 0, override_quality="It is urgent")
        assert denied.status_code == 403
        assert (await move(lead, "staging", release, 0, override_quality="")).status_code == 422
        # What was never there is no way back: the threshold would not be asked about.
        for dry_run in (True, False):
            body = {"release": release, "reason": "round the gate", "dry_run": dry_run}
            headers = {"If-None-Match": "*"}
            round_it = await client.post(f"{BASE}/environments/staging/rollback", json=body, headers=headers)
            assert round_it.status_code == 409, round_it.text
        passed = await move(lead, "staging", release, 0, override_quality="It is urgent")
        assert passed.status_code == 200, passed.text
        kept = (await client.get(f"{BASE}/environments/staging/history")).json()["items"][0]["quality_override"]
        assert (kept["reason"], kept["shortfalls"][0]["metric"]) == ("It is urgent", "accuracy")
        await scored(client, 0.85)
        below = (await move(client, "qa", release, 0)).json()
        assert below["status"] == 404  # not an environment of the project: told before anything is measured
        low = (await move(client, "dev", release, 1)).json()
        assert low["environment"]["release"] == release  # it points there already: nothing to gate


async def test_a_score_below_is_told_and_the_newest_counts(database: Database) -> None:
    given = files(quality=QUALITY)
    await deployed(database, given)
    async with serving(database) as api, api.client("deployer") as client:
        release = await released(client, given)
        await scored(client, 0.85)
        low = (await move(client, "staging", release, 0)).json()
        assert "is 0.85 on b77 by local/minilm" in low["errors"][0]["detail"]
        await scored(client, 0.93)
        assert (await move(client, "staging", release, 0)).status_code == 200
        history = (await client.get(f"{BASE}/environments/staging/history")).json()["items"]
        assert [item["quality_override"] for item in history] == [None]
        shown = (await client.get(VERSION)).json()
        assert (shown["environments"], shown["labels"]) == (["dev", "staging"], [])


async def test_labels_move_under_a_fence_with_their_history(database: Database) -> None:
    await deployed(database, files())
    async with (
        serving(database) as api,
        api.client("deployer", name="ana") as ana,
        api.client("reader") as reader,
    ):
        for n in range(3):
            await released(ana, files(f"1.0.{n}", f"Sort {n}:"))

        async def put(label: str, version: str | None, seen: int, who: httpx.AsyncClient = ana) -> httpx.Response:
            headers = {"If-Match": f'"{seen}"'} if seen else {"If-None-Match": "*"}
            return await who.put(f"{LABELS}/{label}", json={"version": version, "reason": "better"}, headers=headers)

        made = await put("candidate", "1.0.1", 0)
        assert (made.status_code, made.headers["etag"], made.json()["version"]) == (200, '"1"', "1.0.1"), made.text
        assert (await put("candidate", "1.0.1", 0)).status_code == 412  # there is one; its own retry names the place
        assert (await put("candidate", "1.0.1", 1)).json()["place"] == 1
        both = await asyncio.gather(put("candidate", "1.0.0", 1), put("candidate", "1.0.2", 1))
        assert sorted(answer.status_code for answer in both) == [200, 412]
        lost = next(answer.json() for answer in both if answer.status_code == 412)
        assert "user/ana" in lost["detail"]
        shown = await ana.get(f"{BASE}/prompts/support/classify/versions")
        assert sum(item["labels"] == ["candidate"] for item in shown.json()["items"]) == 1
        listed = await ana.get(LABELS)
        assert (await ana.get(LABELS, headers={"If-None-Match": listed.headers["etag"]})).status_code == 304
        assert (await put("candidate", None, 2)).json()["version"] is None
        assert (await ana.get(LABELS)).json()["items"] == []
        moves = (await ana.get(f"{LABELS}/candidate/history", params={"limit": 2})).json()
        assert [(item["place"], item["changed_by"], item["reason"]) for item in moves["items"]] == [
            (3, "user/ana", "better"),
            (2, "user/ana", "better"),
        ]
        rest = (await ana.get(f"{LABELS}/candidate/history", params={"cursor": moves["next"]})).json()
        assert [(item["version"], item["before"]) for item in rest["items"]] == [("1.0.1", None)]
        blind = await ana.put(f"{LABELS}/candidate", json={"version": "1.0.0"})
        assert blind.status_code == 428
        for label, version, status in (("Bad", "1.0.0", 422), ("new", "9.0.0", 404), ("new", "1", 422)):
            assert (await put(label, version, 0)).status_code == status, label
        assert (await put("new", "1.0.0", 3)).status_code == 412  # there never was one
        assert (await put("new", "1.0.0", 0, reader)).status_code == 403
        assert (await reader.get(LABELS)).status_code == 403
        assert (await ana.get(f"{LABELS}/none/history")).status_code == 404


async def test_grave_workflows_are_changed_by_their_owners(database: Database) -> None:
    given: dict[str, Any] = files()
    grave = given["workflows/ask.yaml"].replace("owner: team/desk\nrisk: low", "owner: role/owner\nrisk: high")
    given |= {"workflows/ask.yaml": grave, "policies/deliver.cedar": POLICIES + OWNED}
    await deployed(database, given)
    changed = {**given, "workflows/ask.yaml": grave.replace("expire: 1d", "expire: 2d").replace("1.0.0", "1.0.1")}
    # Whoever makes himself its owner by the same change is not yet one.
    taken = {**given, "workflows/ask.yaml": grave.replace("role/owner", "user/ana")}
    lowered = {**given, "workflows/ask.yaml": grave.replace("risk: high", "risk: low")}
    async with (
        serving(database) as api,
        api.client("deployer", name="ana") as ana,
        api.client("deployer", "owner", name="olga") as olga,
    ):
        assert (await ana.post(f"{BASE}/releases", json={"files": encoded(given)})).status_code == 201  # no change
        for attempt in (changed, taken, lowered):
            refused = await ana.post(f"{BASE}/releases", json={"files": encoded(attempt)})
            assert (refused.status_code, "grave-workflows" in refused.text) == (403, True)
            assert "In 'dev' it is owned by role/owner." in refused.json()["detail"]
        assert (await olga.post(f"{BASE}/releases", json={"files": encoded(changed)})).status_code == 201
