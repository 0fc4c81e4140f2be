"""A run that waits for a review, in a real database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from signoff.capabilities.reviews import Review, ReviewDecision, ReviewRequest, decide, open_review
from signoff.core.actors import Actor
from signoff.core.ids import uuid7
from signoff.core.labels import Labels, Trust
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.governance.policy import PolicySet
from signoff.runtime.client import StartRequest, start_run
from signoff.workflows.model import Limits, Workflow

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
STARTER = Actor(DEFAULT_ORG_ID, "key", "ci", frozenset({"starter"}))
LEAD = Actor(DEFAULT_ORG_ID, "user", "ana@example.com", frozenset({"support-lead"}))
OTHER_LEAD = Actor(DEFAULT_ORG_ID, "user", "bo@example.com", frozenset({"support-lead"}))
FINANCE = Actor(DEFAULT_ORG_ID, "user", "cy@example.com", frozenset({"finance-manager"}))
ADMIN = Actor(DEFAULT_ORG_ID, "user", "root@example.com", frozenset({"admin"}))

PERMIT = '@id("leads-decide") permit (principal, action == Action::"review.decide", resource);'
FOUR_EYES = """
@id("four-eyes")
forbid (principal, action == Action::"review.decide", resource) when { context.own_run };
"""
HIGH_AMOUNTS = """
@id("high-amounts")
forbid (principal, action == Action::"review.decide", resource)
when { context.decision == "approved" && context.values.cents > 5000 };
"""

APPROVE = ReviewDecision("approve")
REJECT = ReviewDecision("reject", reason="not our jug")

WORKFLOW = Workflow(
    name="support/refund",
    version="1.2.0",
    about="",
    owner="team/support",
    risk="medium",
    goals={},
    limits=Limits(),
    input_schema={},
    steps=(),
    outcomes=(),
    digest="00" * 32,
    file="workflows/refund.yaml",
)


def policies(*texts: str) -> PolicySet:
    """A policy set of the permit and whatever else is given."""
    return PolicySet.parse({f"policy{index}.cedar": text for index, text in enumerate((PERMIT, *texts))})


async def started_run(database: Database, *, actor: Actor = STARTER) -> UUID:
    """A run of the default organisation, or of the actor's."""
    async with database.transaction(actor.org_id) as connection:
        request = StartRequest(workflow=WORKFLOW, release="ab" * 32, input={}, actor=actor)
        return (await start_run(connection, request, now=NOW)).run_id


def request_for(run_id: UUID, **changes: Any) -> ReviewRequest:
    """What the example's workflow asks."""
    request = ReviewRequest(
        run_id=run_id,
        path="decision",
        workflow="support/refund",
        workflow_version="1.2.0",
        risk="medium",
        release="ab" * 32,
        title="Refund this order?",
        role="role/support-lead",
        proposed={"order": "W1", "cents": 1250},
        editable=("cents",),
        shown={"input.ticket.text": "my jug \0 is broken", "order": {"id": "W1", "refundable_cents": 2000}},
        sources={"cents": "${facts.cents}"},
        labels={"cents": Labels(trust=Trust.UNTRUSTED)},
        started_by=STARTER,
        opened_at=NOW,
        escalate_at=NOW + timedelta(hours=4),
        escalate_to=("role/finance-manager",),
        expire_at=NOW + timedelta(days=2),
    )
    return replace(request, **changes)


async def opened(database: Database, **changes: Any) -> Review:
    """An open review of a new run."""
    run_id = await started_run(database)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        return await open_review(connection, DEFAULT_ORG_ID, request_for(run_id, **changes))


async def decided(
    database: Database,
    actor: Actor,
    review_id: UUID,
    decision: ReviewDecision,
    *texts: str,
    now: datetime = NOW + timedelta(hours=1),
) -> Review:
    """Decide in a transaction of its own, under the permit and the given policies."""
    async with database.transaction(actor.org_id) as connection:
        return await decide(connection, actor, review_id, decision, authorise=policies(*texts).decide, now=now)


def another_organisation(database_url: str) -> UUID:
    """A second organisation, which only an administrator can make."""
    org_id = uuid7()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organisation (id, name) VALUES (%s, %s)", (org_id, f"org-{org_id.hex[:8]}"))
    return org_id
