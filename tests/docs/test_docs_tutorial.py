"""The tutorial does what it says: its files are put into the project of `signoff init`, checked, and run."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from support.docs_pages import page

from signoff.capabilities.gateway import Gateway, ProviderRequest
from signoff.capabilities.gateway.providers import default_factories
from signoff.capabilities.reviews import ReviewDecision, decide, list_reviews
from signoff.catalog import ModelSpec, ReleaseCatalog, load_project, point_environment, register
from signoff.catalog.authority import PolicyBook
from signoff.catalog.scaffold import create_project
from signoff.catalog.starts import start_workflow
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.core.errors import DefinitionError
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime import RuntimeSettings
from signoff.runtime.client import RunSummary, read_journal, read_run
from signoff.steps import open_worker
from signoff.testing import ScriptedProvider

TUTORIAL = "docs/guides/first-workflow.md"
DEVELOPER = Actor(DEFAULT_ORG_ID, "user", "developer", frozenset({"reviewer", "operator"}))
CLOCK = SystemClock()
FAST = RuntimeSettings(lease_s=5.0, heartbeat_s=1.0, poll_s=0.05, park_after_s=0.2)
WAIT_S = 20.0


def files() -> dict[str, str]:
    return {snippet.title: snippet.text for snippet in page(TUTORIAL).snippets if snippet.title}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    create_project(tmp_path / "support")
    for name, text in files().items():
        path = tmp_path / "support" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path / "support"


class Support:
    """The tutorial's project, deployed, with a worker."""

    def __init__(self, database: Database) -> None:
        self.database = database
        releases = ReleaseCatalog(database)
        self.releases = releases
        self.policies = PolicyBook(database, releases, clock=CLOCK, environment="dev", fresh_s=0)

    async def deploy(self, directory: Path) -> None:
        found = load_project(directory)
        async with self.database.transaction(DEFAULT_ORG_ID) as connection:
            digest = await register(connection, DEFAULT_ORG_ID, found, DEVELOPER)
            await point_environment(connection, DEFAULT_ORG_ID, found.name, "dev", digest, actor=DEVELOPER)

    async def start(self, workflow: str, value: Mapping[str, Any]) -> UUID:
        async with self.database.transaction(DEFAULT_ORG_ID) as connection:
            started = await start_workflow(
                connection,
                self.releases,
                self.policies,
                DEVELOPER,
                project="support",
                workflow=workflow,
                value=value,
                now=CLOCK.now(),
            )
        return started.run_id

    async def ends(self, run_id: UUID) -> str | None:
        """The run's outcome once it has ended; its error where it failed."""
        run = await self.rested(run_id, "done", "failed")
        assert run.error is None, run.error
        return run.outcome

    async def rested(self, run_id: UUID, *statuses: str) -> RunSummary:
        """The run once it has one of the statuses."""
        async with asyncio.timeout(WAIT_S):
            while True:
                async with self.database.transaction(DEFAULT_ORG_ID) as connection:
                    run = await read_run(connection, DEFAULT_ORG_ID, run_id)
                if run.status in statuses:
                    return run
                await asyncio.sleep(0.02)

    async def approve(self, run_id: UUID, values: Mapping[str, Any]) -> None:
        async with self.database.transaction(DEFAULT_ORG_ID) as connection:
            found = await list_reviews(connection, DEFAULT_ORG_ID, now=CLOCK.now(), run_id=run_id)
            (review,) = found.reviews
            run = await read_run(connection, DEFAULT_ORG_ID, run_id)
        authority = await self.policies.authority(DEFAULT_ORG_ID, await self.releases.load(DEFAULT_ORG_ID, run.release))
        async with self.database.transaction(DEFAULT_ORG_ID) as connection:
            await decide(
                connection,
                DEVELOPER,
                review.review_id,
                ReviewDecision("approve", values=values, reason="half of it"),
                authorise=authority.decide,
                now=CLOCK.now(),
            )

    async def kinds(self, run_id: UUID) -> list[str]:
        async with self.database.transaction(DEFAULT_ORG_ID) as connection:
            return [event.kind for event in await read_journal(connection, DEFAULT_ORG_ID, run_id)]


@asynccontextmanager
async def working(database: Database, label: str) -> AsyncGenerator[Support]:
    """A worker whose model gives every message that label, and is sure."""
    model = ScriptedProvider([{"label": label, "confidence": 0.95}], repeat=True, name="minilm")
    gateway = Gateway(factories={"minilm": model.factory}, clock=CLOCK)
    async with open_worker(database, clock=CLOCK, settings=FAST, gateway=gateway) as worker:
        task = asyncio.create_task(worker.run())
        try:
            yield Support(database)
        finally:
            worker.stop()
            await task
    await gateway.aclose()


def asked(customer: str, order: str, cents: int) -> dict[str, Any]:
    return {"customer": customer, "order": order, "text": "The parcel arrived broken and late.", "cents": cents}


async def test_the_tutorial(database: Database, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the tutorial's tool keeps its vouchers
    async with working(database, "complaint") as support:
        policy = project / "policies" / "voucher.cedar"
        policy.unlink()
        with pytest.raises(DefinitionError) as refused:
            await support.deploy(project)
        assert {problem.code for problem in refused.value.problems} == {"flow-permission", "flow-role"}

        policy.write_text(files()["policies/voucher.cedar"], "utf-8")
        await support.deploy(project)
        small = await support.start("voucher", asked("ana", "W1", 500))
        assert await support.ends(small) == "sent"

        high = await support.start("voucher", asked("ben", "W2", 4000))
        (waits,) = (await support.rested(high, "waiting", "failed")).waiting_for
        assert waits["kind"] == "review"
        await support.approve(high, {"cents": 2500})
        assert await support.ends(high) == "sent"
        assert {"effect.intended", "message.received", "step.waiting"} <= set(await support.kinds(high))

        again = await support.start("voucher", asked("ana", "W1", 700))
        assert await support.ends(again) == "sent"

        hello = await support.start("hello", {"name": "Ana", "text": "When do you open on Sunday?"})
        assert await support.ends(hello) == "answered"
    vouchers = [json.loads(line) for line in (tmp_path / "vouchers.jsonl").read_text("utf-8").splitlines()]
    assert [(one["customer"], one["cents"]) for one in vouchers] == [("ana", 500), ("ben", 2500)]


async def test_what_is_no_complaint_ends_so(database: Database, project: Path) -> None:
    async with working(database, "praise") as support:
        await support.deploy(project)
        run_id = await support.start("voucher", asked("ana", "W1", 500))
        assert await support.ends(run_id) == "no_complaint"


@pytest.mark.models
@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("When do you open on Sunday?", "question"),
        ("The parcel arrived broken.", "complaint"),
        ("The parcel arrived broken and late.", "complaint"),
    ],
)
async def test_the_model_is_as_sure_as_the_tutorial_says(project: Path, text: str, label: str) -> None:
    """The embedded model on the messages that the tutorial sends, with the tutorial's prompt."""
    prompt = load_project(project).prompts.find("sort-message@^1")
    model = default_factories()["minilm"](ModelSpec("local/minilm", "minilm"))
    reply = await model.complete(
        ProviderRequest(
            task="classify",
            messages=prompt.render({"text": text}),
            output_schema=prompt.output_schema,
            max_output_tokens=prompt.max_output_tokens,
            timeout_s=30,
            variables={"text": text},
            labels=prompt.labels,
            examples=prompt.examples,
        )
    )
    answer = json.loads(reply.text)
    assert answer["label"] == label
    assert answer["confidence"] >= 0.6
