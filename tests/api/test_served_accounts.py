"""On whose account a program's calls are, and as what they count: its key and its project say so, not its headers."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from support.catalog_files import added, problems_of
from support.served_cases import POLICY, Served, served

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.asking import Admission, Asked, Estimate
from signoff.catalog.models import ModelSpec
from signoff.core.money import Usage
from signoff.foundation.database import Database

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
TEAMS = (
    POLICY
    + """
@id("programs-of-two-teams")
permit (principal in Role::"program", action == Action::"gateway.team", resource == Team::"second")
when { context.team == "first" };
@id("not-for-the-third")
forbid (principal, action == Action::"gateway.use", resource) when { context.team == "third" };
"""
)


class Counting:
    """Limits that only note whom a call counted for."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def admit(self, asked: Asked, spec: ModelSpec, estimate: Estimate) -> Admission:
        self.asked.append(asked)
        return self

    async def settle(self, usage: Usage) -> None:
        pass


async def _says(here: Served, key: str, **headers: str) -> None:
    async with here.openai() as client:
        mine: Any = client.with_options(api_key=key)
        shown = {f"signoff-{name.replace('_', '-')}": value for name, value in headers.items()}
        await mine.chat.completions.create(model="says", messages=ASK, extra_headers=shown)


async def test_a_call_counts_for_its_keys_team_whatever_its_headers_say(database: Database) -> None:
    counting = Counting()
    gateway = Gateway(limits=counting, environment={"VENDOR_KEY": "sk-vendor"})
    async with served(database, policy=TEAMS, gateway=gateway) as here:
        first = await here.api.key("program", name="one", team="first")
        nobodys = await here.api.key("program", name="two")
        await _says(here, first)
        await _says(here, first, team="first")
        await _says(here, first, team="second")
        await _says(here, nobodys)
        assert [asked.caller.team for asked in counting.asked] == ["first", "first", "second", ""]

        # Another team, or a team for a key without one, is for policy to permit, and no policy does.
        for key, team in ((first, "other"), (nobodys, "first"), (nobodys, "second")):
            with pytest.raises(openai.PermissionDeniedError, match=r"gateway\.team"):
                await _says(here, key, team=team)
        # What a key counts for is for `gateway.use` to decide on too.
        with pytest.raises(openai.PermissionDeniedError, match="not-for-the-third"):
            await _says(here, await here.api.key("program", name="three", team="third"))
        assert len(counting.asked) == 4


async def test_headers_make_a_call_worse_and_never_better_than_its_project_says(database: Database) -> None:
    counting = Counting()
    gateway = Gateway(limits=counting, environment={"VENDOR_KEY": "sk-vendor"})
    least = {"data_class": "internal", "risk": "medium", "residency": ["eu"]}
    async with served(database, gateway=gateway, more={"served": least}) as here:
        await _says(here, here.key)
        await _says(here, here.key, data_class="internal", risk="high", residency="ch")
        told = [
            (asked.data_labels.data_class.name, asked.risk, asked.data_labels.residency) for asked in counting.asked
        ]
        assert told == [("INTERNAL", "medium", {"eu"}), ("INTERNAL", "high", {"eu", "ch"})]

        for headers in ({"data_class": "public"}, {"risk": "low"}):
            with pytest.raises(openai.BadRequestError, match="as the project has it, or above") as refused:
                await _says(here, here.key, **headers)
            assert str(refused.value.param).removeprefix("signoff-").replace("-", "_") in headers
        with pytest.raises(openai.PermissionDeniedError):
            await _says(here, here.key, data_class="regulated")


async def test_a_route_opts_into_answers_given_before_and_a_header_has_the_last_word(database: Database) -> None:
    counting = Counting()
    gateway = Gateway(limits=counting, environment={"VENDOR_KEY": "sk-vendor"})
    routes = [{"name": "kept-answers", "task": "chat", "use": ["says"], "cache": True}]
    async with served(database, gateway=gateway, more={"routes": routes}) as here, here.openai() as client:
        chats: Any = client.chat.completions
        for model, headers in (("says", {}), ("kept-answers", {}), ("kept-answers", {"signoff-cache": "false"})):
            await chats.create(model=model, messages=ASK, extra_headers=headers)
        assert [asked.cached for asked in counting.asked] == [False, True, False]


def test_what_calls_count_as_is_checked_with_the_project() -> None:
    wrong = added("models.yaml", "served: {data_class: secret, risk: none, residence: eu}\n")
    assert {problem.code for problem in problems_of(wrong)} >= {"unknown-value", "unknown-key"}
