"""Models that take one call at a time."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest
from support.gateway_cases import GOOD, project

from signoff.catalog.models import ModelsConfig, ModelSpec, Route
from signoff.testing import ScriptedProvider


class OneAtATime(ScriptedProvider):
    """A local model: one call at a time."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        return TURNS


TURNS = asyncio.Semaphore(1)


async def test_a_model_that_takes_turns_is_waited_for_and_any_other_is_not():
    gateway, config = project(first=OneAtATime([GOOD]))
    async with gateway.turn(config, "classify", "classify"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), gateway.turn(config, "classify", "classify"):
                pass
    async with gateway.turn(config, "classify", "classify"):
        assert TURNS.locked()
    plain, config = project(first=ScriptedProvider([GOOD]))
    async with plain.turn(config, "classify", "classify"), plain.turn(config, "classify", "classify"):
        pass
    missing = ModelsConfig({"first": ModelSpec("first", "unknown", {})}, (Route(("first",)),))
    async with gateway.turn(missing, "classify", "classify"):
        pass  # `complete` says what is wrong with it
