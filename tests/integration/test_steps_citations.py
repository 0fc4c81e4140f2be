"""What an answer cites was retrieved in this very run, for this very answer; an id from elsewhere proves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from support.answer_runs import HEAD, project, staged
from support.api_cases import deployed
from support.review_cases import another_organisation

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.retrieval import search
from signoff.catalog.projects import load_project_files
from signoff.catalog.releases import ReleaseCatalog
from signoff.core.clock import SystemClock
from signoff.core.errors import DefinitionError
from signoff.foundation.database import Database
from signoff.steps import prepare_release
from signoff.testing import ScriptedProvider

PROMPT = """---
name: answer
version: 1.0.0
purpose: Answers from the manual.
task: generate
input:
  type: object
  properties: {docs: {type: array, items: {type: object}, maxItems: 20}}
  required: [docs]
output:
  type: object
  properties:
    text: {type: string}
    citations:
      type: array
      items: {type: object, properties: {quote: {type: string}, chunk_id: {type: string}}, required: [quote]}
  required: [text, citations]
  additionalProperties: false
citations: {from: docs}
repair: {attempts: 0}
---
# user
{{ docs }}
"""
GIVEN = """input:
  type: object
  properties:
    text: {type: string}
    more: {type: array, items: {type: object}}
  required: [text, more]
"""
STEPS = """steps:
  docs: {retrieve: manual, query: "${input.text}", top: 1}
  reply: {ai: answer@^1, with: {docs: "${docs.hits + input.more}"}}
outcome: {answered: reply.done}
"""
RETURNS = "Goods may be returned within 30 days."
PARCELS = "Parcels travel for two days."
SECRET = "The other tenant pays 17 percent."


def files(steps: str = STEPS, *, parcels: str = PARCELS) -> dict[str, str]:
    made = project(steps, head=HEAD, given=GIVEN, prompts__answer_md=PROMPT)
    return {
        **made,
        "models.yaml": "models: {a: {provider: scripted}}\n"
        "routes: [{task: generate, use: [a]}, {task: embed, use: [a]}]\n",
        "knowledge/manual/returns.md": f"# Returns\n\n{RETURNS}\n",
        "knowledge/manual/parcels.md": f"# Parcels\n\n{parcels}\n",
    }


async def of_another_tenant(database: Database, database_url: str) -> Mapping[str, Any]:
    """A passage as another organisation's own retrieval gives it."""
    org_id, clock = another_organisation(database_url), SystemClock()
    made = files(parcels=SECRET)
    digest = await deployed(database, made, org_id=org_id)
    release = await ReleaseCatalog(database).load(org_id, digest)
    model = ScriptedProvider()
    gateway = Gateway({"scripted": model.factory}, clock=clock, environment={})
    await prepare_release(database, org_id, release, clock=clock, gateway=gateway)
    [vector] = await model.embed(["tenant percent"])
    async with database.transaction(org_id) as connection:
        [hit] = await search(
            connection, org_id, release=digest, name="manual", query="tenant percent", query_vector=vector, top=1
        )
    assert SECRET in hit.text
    return {"chunk_id": hit.chunk_id, "text": hit.text}


async def test_only_what_this_run_retrieved_can_be_cited(database: Database, database_url: str) -> None:
    foreign = await of_another_tenant(database, database_url)
    said: list[dict[str, Any]] = []
    model = ScriptedProvider([lambda request: {"text": "So it is.", "citations": said}], repeat=True)
    async with staged(database, files(), {"a": model}) as stage:

        async def cited(*citations: dict[str, Any], more: list[Any], text: str = "goods returned") -> str:
            said[:] = citations
            run_id = await stage.start({"text": text, "more": more})
            status, _ = await stage.ended(run_id)
            if status == "done":
                return "done"
            [call] = [fact for fact in await stage.facts(run_id, "model.call") if "prompt" in fact]
            assert call["broken"] == ["citation-not-found"]
            return (await stage.step(run_id, "reply"))["error"]["kind"]

        other = await stage.start({"text": "parcels travel", "more": []})
        await stage.ended(other)
        [parcel] = (await stage.step(other, "docs"))["output"]["hits"]
        assert PARCELS in parcel["text"]
        own = await stage.start({"text": "goods returned", "more": []})
        await stage.ended(own)
        [returns] = (await stage.step(own, "docs"))["output"]["hits"]

        assert await cited({"quote": RETURNS, "chunk_id": returns["chunk_id"]}, more=[]) == "done"
        assert await cited({"quote": RETURNS}, more=[parcel]) == "done", "it stands in what was retrieved"
        forged: list[tuple[dict[str, Any], list[Any]]] = [
            ({"quote": PARCELS, "chunk_id": parcel["chunk_id"]}, [parcel]),  # another run's, of the same index
            ({"quote": SECRET, "chunk_id": foreign["chunk_id"]}, [foreign]),  # another organisation's
            ({"quote": SECRET}, [{"text": SECRET}]),  # no id at all
            ({"quote": SECRET, "chunk_id": returns["chunk_id"]}, [{**returns, "text": SECRET}]),  # an id that is real
            ({"quote": RETURNS, "chunk_id": "made-up"}, [{**returns, "chunk_id": "made-up"}]),
            ({"quote": RETURNS, "chunk_id": parcel["chunk_id"]}, []),
        ]
        for citation, more in forged:
            assert await cited(citation, more=more) == "model_contract", citation


async def test_what_on_error_gave_in_place_of_a_search_was_not_retrieved(database: Database) -> None:
    fallback = (
        f'on_error: {{hits: [{{chunk_id: c1, path: x, heading: [], text: "{SECRET}", start: 0, end: 9, score: 1.0}}]}}'
    )
    steps = STEPS.replace(
        'docs: {retrieve: manual, query: "${input.text}", top: 1}',
        f'docs: {{retrieve: manual, query: "${{input.text}}", assert: "false", {fallback}}}',
    )
    model = ScriptedProvider([{"text": "So.", "citations": [{"quote": SECRET, "chunk_id": "c1"}]}], repeat=True)
    async with staged(database, files(steps), {"a": model}) as stage:
        run_id = await stage.start({"text": "goods", "more": []})
        assert (await stage.ended(run_id))[0] == "failed"
        assert (await stage.step(run_id, "reply"))["error"]["kind"] == "model_contract"


def test_passages_that_no_search_gives_are_told_before_anything_runs() -> None:
    for passages in ("${input.more}", "${kept.more}"):
        kept = '  kept: {set: {more: "${input.more}"}}\n'
        steps = STEPS.replace("steps:\n", f"steps:\n{kept}").replace("${docs.hits + input.more}", passages)
        with pytest.raises(DefinitionError) as caught:
            load_project_files({name: text.encode() for name, text in files(steps).items()})
        assert [problem.code for problem in caught.value.problems] == ["no-retrieval"]
    through = STEPS.replace("  reply:", '  kept: {set: {all: "${docs.hits}"}}\n  reply:').replace(
        "${docs.hits + input.more}", "${kept.all}"
    )
    load_project_files({name: text.encode() for name, text in files(through).items()})
