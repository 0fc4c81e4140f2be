"""Kept answers: the same question of the same principal is asked once, and nobody else finds the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from support.limit_cases import MovedClock, asked

from signoff.capabilities.gateway.asking import Asked
from signoff.capabilities.gateway.caching import CacheSettings, KeptAnswers
from signoff.capabilities.gateway.caching.codec import packed, question_of, unpacked
from signoff.capabilities.gateway.chat import (
    ChatMessage,
    ChatReply,
    ChatRequest,
    ChatTool,
    ChatUsage,
    ImagePart,
    OnlyTool,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    VendorPart,
)
from signoff.capabilities.gateway.provider import ProviderError
from signoff.core.clock import SystemClock
from signoff.core.ids import uuid7
from signoff.core.labels import DataClass, Labels
from signoff.foundation.database import DEFAULT_ORG_ID, Database

MODELS = ["vendor/main", "vendor/other"]


def request(text: str = "How?", **more: Any) -> ChatRequest:
    return ChatRequest((ChatMessage("user", (TextPart(text),)),), **more)


def who(**facts: Any) -> Asked:
    return replace(asked(**facts), cached=True, model="vendor/main")


class Asking:
    """A model that says how often it was asked."""

    def __init__(self, finish: Any = "stop", **facts: Any) -> None:
        self.times = 0
        self._finish = finish
        self._facts = facts
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Event()

    async def __call__(self) -> ChatReply:
        self.times += 1
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        return ChatReply(
            (TextPart(f"answer {self.times}"),), self._finish, ChatUsage(10, 5, reported=True), **self._facts
        )


async def said(cache: KeptAnswers, ask: Asking, by: Asked | None = None, of: ChatRequest | None = None) -> str:
    reply, cached = await cache.answered(by or who(), MODELS, of or request(), ask)
    return f"{reply.text}{' again' if cached else ''}"


async def test_the_same_question_is_answered_once_until_it_is_too_old(database: Database):
    clock = MovedClock()
    cache, ask = KeptAnswers(database, clock, CacheSettings(ttl_s=60)), Asking()
    assert await said(cache, ask) == "answer 1"
    assert await said(KeptAnswers(database, clock), ask) == "answer 1 again"
    clock.move(60)
    assert await said(cache, ask) == "answer 2"
    assert await said(cache, ask) == "answer 2 again"


async def test_nobody_is_given_what_was_not_asked_for(database: Database):
    cache, ask = KeptAnswers(database, MovedClock()), Asking()
    assert await said(cache, ask, replace(who(), cached=False)) == "answer 1"
    assert await said(cache, ask, replace(who(), cached=False)) == "answer 2"
    regulated = replace(who(), data_labels=Labels(DataClass.REGULATED))
    assert await said(cache, ask, regulated) == "answer 3"
    assert await said(cache, ask, regulated) == "answer 4"


DIFFERENT: dict[str, Callable[[], Asked]] = {
    "principal": lambda: who(principal="key/eve"),
    "team": lambda: who(team="sales", principal="key/support"),
    "key": lambda: who(key=str(uuid7())),
    "release": lambda: who(release="r2"),
    "environment": lambda: who(environment="prod"),
    "project": lambda: who(project="bank"),
    "class": lambda: replace(who(), data_labels=Labels(DataClass.INTERNAL)),
    "sources": lambda: replace(who(), data_labels=Labels(sources=frozenset({"index:secret"}))),
    "residency": lambda: replace(who(), data_labels=Labels(residency=frozenset({"eu"}))),
    "model": lambda: replace(who(), model="vendor/other"),
    "prompt": lambda: replace(who(), prompt="triage"),
    "region": lambda: replace(who(), region="eu"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_whoever_differs_asks_another_question(name: str):
    assert question_of(DIFFERENT[name](), MODELS, request()) != question_of(who(), MODELS, request())


@pytest.mark.parametrize(
    "other",
    [
        request("How? "),
        request(temperature=0.5),
        request(max_output_tokens=5),
        request(stop=("x",)),
        request(tools=(ChatTool("t"),)),
        request(tool_choice="none"),
        request(tool_choice=OnlyTool("none")),
        request(output_schema={"type": "object"}),
        request(vendor={"seed": 1}),
        ChatRequest((ChatMessage("system", (TextPart("How?"),)),)),
        ChatRequest((ChatMessage("user", (ReasoningPart("How?"),)),)),
        ChatRequest((ChatMessage("user", (ImagePart("image/png", b"How?"),)),)),
    ],
)
def test_whatever_differs_in_the_request_is_another_question(other: ChatRequest):
    assert question_of(who(), MODELS, other) != question_of(who(), MODELS, request())
    assert question_of(who(), MODELS, other) == question_of(who(), MODELS[::-1], replace(other, timeout_s=1))


def test_what_a_model_said_that_policy_forbids_by_now_is_not_found():
    assert question_of(who(), ["vendor/main"], request()) != question_of(who(), MODELS, request())


async def test_another_organisation_with_the_very_same_question_finds_nothing(database: Database, database_url: str):
    other = uuid7()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (other,))
    cache, ask = KeptAnswers(database, MovedClock()), Asking()
    assert await said(cache, ask) == "answer 1"
    assert await said(cache, ask, who(org_id=other)) == "answer 2"
    async with database.transaction(other) as connection:
        rows = await connection.fetch("SELECT org_id FROM model_answer")
    assert [row["org_id"] for row in rows] == [other]
    assert other != DEFAULT_ORG_ID


@pytest.mark.parametrize(
    "ask",
    [
        Asking("length"),
        Asking("refusal"),
        Asking("content_filter"),
        Asking("incomplete"),
        Asking(refusal="I will not."),
    ],
    ids=["length", "refusal", "content_filter", "incomplete", "refused"],
)
async def test_what_is_no_whole_answer_is_not_kept(database: Database, ask: Asking):
    cache = KeptAnswers(database, MovedClock())
    await said(cache, ask)
    await said(cache, ask)
    assert ask.times == 2


async def test_failures_are_raised_and_the_next_one_asks(database: Database):
    cache, ask = KeptAnswers(database, MovedClock()), Asking()

    async def fails() -> ChatReply:
        raise ProviderError("unavailable", "down")

    with pytest.raises(ProviderError):
        await cache.answered(who(), MODELS, request(), fails)
    assert await said(cache, ask) == "answer 1"


@pytest.mark.parametrize("processes", [1, 3])
async def test_of_many_that_ask_at_once_one_asks(database: Database, processes: int):
    clock = MovedClock()
    caches = [KeptAnswers(database, clock, CacheSettings(poll_s=0.001)) for _ in range(processes)]
    ask = Asking()
    answers = await asyncio.gather(*(said(caches[number % processes], ask) for number in range(12)))
    assert ask.times == 1
    assert sorted(answers) == ["answer 1"] + ["answer 1 again"] * 11


async def test_a_question_whose_asker_was_cut_off_is_asked_by_the_next(database: Database):
    cache, ask = KeptAnswers(database, MovedClock()), Asking()
    ask.gate = asyncio.Event()
    first = asyncio.create_task(said(cache, ask))
    await ask.begun.wait()
    second = asyncio.create_task(said(cache, ask))
    await asyncio.sleep(0)
    first.cancel()
    ask.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == "answer 2"


async def test_a_claim_whose_process_died_ends(database: Database):
    clock = MovedClock()
    dead, ask = KeptAnswers(database, clock), Asking()
    ask.gate = asyncio.Event()
    hanging = asyncio.create_task(said(dead, ask, of=request(timeout_s=10)))
    await ask.begun.wait()
    clock.move(16)
    alive = Asking()
    assert await said(KeptAnswers(database, clock), alive, of=request(timeout_s=10)) == "answer 1"
    ask.gate.set()
    await hanging
    assert await said(KeptAnswers(database, clock), alive, of=request(timeout_s=10)) == "answer 1 again"


async def test_large_answers_are_not_kept_and_the_oldest_leave(database: Database):
    clock = MovedClock()
    small = KeptAnswers(database, clock, CacheSettings(most_bytes=10))
    ask = Asking()
    assert [await said(small, ask), await said(small, ask)] == ["answer 1", "answer 2"]
    cache = KeptAnswers(database, clock, CacheSettings(most_answers=2, sweep_s=1))
    for text in "abcd":
        clock.move(1)
        await said(cache, ask, of=request(text))
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await connection.fetchval("SELECT count(*) FROM model_answer") == 2


def test_answers_come_back_as_they_were():
    reply = ChatReply(
        (
            ReasoningPart("hm", {"signature": "x"}),
            TextPart("Yes."),
            ImagePart("image/png", b"\x00\xff"),
            ToolCallPart("1", "t", "{}", {"a": 1}),
            VendorPart("search", {"hits": []}),
        ),
        "tool_calls",
        ChatUsage(1, 2, 3, reported=True, vendor={"x": 1}),
        "m",
        "req_1",
    )
    assert unpacked(packed(reply)) == reply


async def test_nobody_waits_for_anothers_answer_longer_than_for_its_own(database: Database):
    cache, slow = KeptAnswers(database, SystemClock()), Asking()
    slow.gate = asyncio.Event()
    first = asyncio.create_task(said(cache, slow))
    await slow.begun.wait()
    assert await said(cache, Asking(), of=request(timeout_s=0.05)) == "answer 1"
    slow.gate.set()
    assert await first == "answer 1"
