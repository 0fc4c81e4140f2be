"""Releases, environments and prompts through the API: fenced, decided by policy, and each organisation's own."""

from __future__ import annotations

import asyncio
import base64

import pytest
from support.api_cases import deployed, serving
from support.delivery_cases import BASE, QUALITY, encoded, files, move, released
from support.review_cases import another_organisation

from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.steps.history import ModelHistory


async def test_from_files_to_an_environment_and_back(database: Database) -> None:
    await deployed(database, files())
    async with serving(database) as api, api.client("deployer", name="ana") as ana:
        first = await released(ana, files(), "The first")
        again = await ana.post(f"{BASE}/releases", json={"files": encoded(files())})
        assert (again.status_code, again.json()["created"]) == (200, False)
        moved = await move(ana, "staging", first, 0)
        assert (moved.status_code, moved.headers["etag"]) == (200, '"1"')
        changed = files("1.0.1", "Sort this:")
        plan = await ana.post(f"{BASE}/environments/staging/plan", json={"files": encoded(changed)})
        assert (plan.status_code, plan.headers["etag"], plan.json()["changed"]) == (200, '"1"', True)
        assert [(item["kind"], item["name"], item["bump"]) for item in plan.json()["changes"]] == [
            ("prompt", "support/classify", "patch")
        ]
        second = await released(ana, changed, "Clearer")
        assert (await move(ana, "staging", second, 1)).json()["changed"]
        repeated = await move(ana, "staging", second, 1)  # the answer to the first one was lost
        assert (repeated.status_code, repeated.json()["changed"]) == (200, False)
        assert (await ana.delete(f"{BASE}/releases/{second}")).status_code == 409
        back = await ana.post(
            f"{BASE}/environments/staging/rollback", json={"reason": "wrong"}, headers={"If-Match": '"2"'}
        )
        assert back.json()["environment"]["release"] == first
        history = (await ana.get(f"{BASE}/environments/staging/history")).json()["items"]
        assert [(item["operation"], item["reason"], item["changed_by"]) for item in history] == [
            ("rollback", "wrong", "user/ana"),
            ("deploy", "because", "user/ana"),
            ("deploy", "because", "user/ana"),
        ]
        tag = (await ana.get(f"{BASE}/environments/staging")).headers["etag"]
        same = await ana.get(f"{BASE}/environments/staging", headers={"If-None-Match": tag})
        assert (tag, same.status_code) == ('"3"', 304)


async def test_of_deployers_at_once_one_moves_it_and_the_others_are_told(database: Database) -> None:
    await deployed(database, files())
    async with serving(database) as api, api.client("deployer") as client:
        releases = [await released(client, files(f"1.0.{n}", f"Sort {n}:")) for n in range(1, 5)]
        moved = await asyncio.gather(*(move(client, "staging", release, 0) for release in releases))
        assert sorted(response.status_code for response in moved) == [200, 412, 412, 412]
        history = (await client.get(f"{BASE}/environments/staging/history")).json()["items"]
        assert len(history) == 1
        blind = await client.post(f"{BASE}/environments/staging/deploy", json={"release": releases[0]})
        assert blind.status_code == 428
        dry = await move(client, "staging", releases[0], 1, dry_run=True)
        assert (dry.status_code, dry.json()["changed"]) == (200, False)
        assert (await client.get(f"{BASE}/environments/staging")).json()["version"] == 1


async def test_a_prompt_says_in_its_version_what_changed(database: Database) -> None:
    await deployed(database, files())
    async with serving(database) as api, api.client("deployer") as client:
        await released(client, files())
        refused = await client.post(f"{BASE}/releases", json={"files": encoded(files(text="Other:"))})
        assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[-1]) == (409, "prompt-version")
        wider = files("1.0.1")
        wider["prompts/classify.md"] = wider["prompts/classify.md"].replace("other:", "spam: Junk., other:")
        refused = await client.post(f"{BASE}/releases", json={"files": encoded(wider)})
        assert "Write 'version: 2.0.0'" in refused.json()["errors"][0]["suggestion"]
        await released(client, files("1.0.1", "Other:"), "Other words")
        page = (await client.get(f"{BASE}/prompts/support/classify/versions")).json()["items"]
        assert [(item["version"], item["bump"], item["message"]) for item in page] == [
            ("1.0.1", "patch", "Other words"),
            ("1.0.0", "first", ""),
        ]
        difference = await client.get(
            f"{BASE}/prompts/support/classify/difference", params={"before": "1.0.0", "after": "1.0.1"}
        )
        assert [line["sign"] for line in difference.json()["lines"] if line["sign"] != "same"] == ["changed"] * 2


async def test_scores_stand_beside_their_version(database: Database) -> None:
    await deployed(database, files(quality=QUALITY))
    async with serving(database) as api, api.client("deployer") as client:
        await released(client, files(quality=QUALITY))
        path = f"{BASE}/prompts/support/classify/versions/1.0.0"
        score = {"metric": "accuracy", "value": 0.93, "n": 200, "dataset": "b77", "model": "local/minilm"}
        headers = {"Idempotency-Key": "eval-1"}
        assert (await client.post(f"{path}/scores", json=score, headers=headers)).status_code == 201
        assert (await client.post(f"{path}/scores", json=score, headers=headers)).status_code == 200
        other = {**score, "value": 0.5}
        assert (await client.post(f"{path}/scores", json=other, headers=headers)).status_code == 409
        assert (await client.post(f"{path}/scores", json={**score, "value": "NaN"})).status_code == 422
        assert (await client.post(f"{path.replace('1.0.0', '9.0.0')}/scores", json=score)).status_code == 404
        shown = (await client.get(path)).json()["scores"]
        assert [(item["value"], item["threshold"], item["met"]) for item in shown] == [(0.93, {"at_least": 0.9}, True)]
        assert (await client.get(f"{BASE}/prompts")).json()["items"][0]["scores"] == shown
        # Routes rank by them: of metrics that are promised to be at least so much, weighed by cases.
        await client.post(f"{path}/scores", json={**score, "value": 0.63, "n": 100, "dataset": "ours"})
        await client.post(f"{path}/scores", json={**score, "metric": "cost_usd", "value": 0.01})
        found = await ModelHistory(database, SystemClock()).qualities(DEFAULT_ORG_ID, "desk", "support/classify")
        assert found == {"local/minilm": pytest.approx(0.83)}


async def test_policy_wants_a_second_person_and_the_owner(database: Database) -> None:
    await deployed(database, files())
    async with (
        serving(database) as api,
        api.client("deployer", name="ana") as ana,
        api.client("deployer", name="bo") as bo,
        api.client("deployer", "owner", name="olga") as olga,
    ):
        release = await released(ana, files())
        own = await move(ana, "prod", release, 0)
        assert (own.status_code, "four-eyes" in own.text) == (403, True)
        assert (await move(bo, "prod", release, 0)).status_code == 200
        grave = {"files": encoded(files("1.1.0", data_class="regulated"))}
        assert (await ana.post(f"{BASE}/releases", json=grave)).status_code == 403
        assert (await olga.post(f"{BASE}/releases", json=grave)).status_code == 201


async def test_nobody_without_permission_and_no_other_organisation(database: Database, database_url: str) -> None:
    await deployed(database, files())
    elsewhere = another_organisation(database_url)
    async with (
        serving(database) as api,
        api.client("reader") as reader,
        api.client("deployer") as ours,
        api.client("deployer", org_id=elsewhere) as theirs,
    ):
        release = await released(ours, files())
        for path in ("/releases", f"/releases/{release}", "/environments", "/environments/dev"):
            assert (await reader.get(BASE + path)).status_code == 403, path
            assert (await theirs.get(BASE + path)).status_code == 404, path
        assert (await reader.get(f"{BASE}/prompts")).json()["items"] == []
        assert (await theirs.get(f"{BASE}/prompts")).status_code == 404
        assert (await theirs.post(f"{BASE}/releases", json={"files": encoded(files())})).status_code == 404
        assert (await reader.delete(f"{BASE}/releases/{release}")).status_code == 403
        assert (await ours.delete(f"{BASE}/releases/{'0' * 64}")).status_code == 404


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"signoff.yaml": "!!!"}, 422),
        ({**encoded(files()), "signoff.yaml": base64.b64encode(b"project: other\n").decode()}, 422),
        ({"../x": ""}, 422),
        ({}, 422),
    ],
)
async def test_bad_files_are_told(database: Database, given: dict[str, str], status: int) -> None:
    await deployed(database, files())
    async with serving(database) as api, api.client("deployer") as client:
        response = await client.post(f"{BASE}/releases", json={"files": given})
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
