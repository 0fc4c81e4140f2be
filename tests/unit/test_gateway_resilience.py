"""What happens when models fail: tries, waits, time limits, fallbacks, streams that go on elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chat_cases import ASKED, HELLO, USAGE, ScriptedChat, models
from support.gateway_cases import Answered, permit_all

from signoff.capabilities.gateway import ProviderError
from signoff.capabilities.gateway.asking import Asked, ChatError, Estimate, LimitReached
from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatReply,
    ChatTool,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    UsageReport,
)
from signoff.capabilities.gateway.chats.streaming import ChatStream
from signoff.capabilities.gateway.resilience.joining import GO_ON, Joint
from signoff.catalog.models import ModelSpec
from signoff.core.clock import SystemClock
from signoff.core.money import Usage

DOWN = ProviderError("unavailable", "Down.")
GOES_ON = replace(ASKED, continues=True)


@dataclass
class Waits(SystemClock):
    """A clock whose sleeps take no time, and are kept."""

    slept: list[float] = field(default_factory=list[float])
    ahead_s: float = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ahead_s += seconds


@dataclass
class Room:
    """Limits that keep what was set aside, and refuse models by name."""

    refused: dict[str, LimitReached] = field(default_factory=dict[str, LimitReached])
    admitted: list[str] = field(default_factory=list[str])
    settled: list[Usage] = field(default_factory=list[Usage])

    async def admit(self, asked: Asked, spec: ModelSpec, estimate: Estimate) -> Any:
        if spec.name in self.refused:
            raise self.refused[spec.name]
        self.admitted.append(spec.name)
        return self

    async def settle(self, usage: Usage) -> None:
        self.settled.append(usage)

    async def renew(self) -> None:
        """Nothing runs out."""


def words(events: Sequence[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def whole(stream: ChatStream) -> tuple[str, StreamEnd]:
    """All of a stream: what was shown, and its end."""
    events = [event async for event in stream]
    assert isinstance(events[-1], StreamEnd)
    assert not any(isinstance(event, StreamEnd) for event in events[:-1])
    return words(events), events[-1]


async def test_a_failure_that_may_pass_is_tried_again_after_jitter():
    clock, room = Waits(), Room()
    one = ScriptedChat([DOWN, DOWN, "At last."])
    gateway, config = models(gateway={"clock": clock, "chance": lambda: 0.5, "limits": room}, one=one)
    result = await gateway.chat(HELLO, ASKED, config, decide=permit_all)
    assert result.reply.text == "At last."
    assert clock.slept == [0.25, 0.5]
    assert [tried.outcome for tried in result.record.tried] == ["unavailable", "unavailable", "ok"]
    assert room.admitted == ["one"] * 3
    assert len(room.settled) == 3


async def test_retry_after_is_waited_for_and_a_long_one_is_not():
    clock = Waits()
    soon = ProviderError("rate_limited", "Slow down.", retry_after_s=3.0)
    late = ProviderError("rate_limited", "Slow down.", retry_after_s=60.0)
    gateway, config = models(
        gateway={"clock": clock, "chance": lambda: 0.0}, one=ScriptedChat([soon, late]), two=ScriptedChat(["Two."])
    )
    result = await gateway.chat(HELLO, ASKED, config, decide=permit_all)
    assert result.reply.text == "Two."
    assert clock.slept == [3.0]


async def test_no_wait_is_longer_than_the_time_that_is_left():
    clock = Waits()
    gateway, config = models(gateway={"clock": clock, "chance": lambda: 1.0}, one=ScriptedChat([DOWN]))
    with pytest.raises(ChatError) as caught:
        await gateway.chat(replace(HELLO, timeout_s=1.0), ASKED, config, decide=permit_all)
    assert clock.slept == [0.5]
    assert caught.value.retryable
    assert caught.value.reason == "unavailable"


@pytest.mark.parametrize("streamed", [False, True])
async def test_silence_is_a_timeout_and_the_next_model_answers(streamed: bool):
    never = asyncio.Event()
    silent = ScriptedChat([[never]])
    short = {"one": {"timeouts": {"first_token_s": 0.05, "total_s": 0.05}}}
    gateway, config = models(short, one=silent, two=ScriptedChat(["Two."]))
    if streamed:
        stream = await gateway.stream(HELLO, ASKED, config, decide=permit_all)
        text, _ = await whole(stream)
        record = stream.record
        assert silent.closed == 1
    else:
        result = await gateway.chat(HELLO, ASKED, config, decide=permit_all)
        text, record = result.reply.text, result.record
    assert text == "Two."
    assert record is not None
    assert [tried.outcome for tried in record.tried] == ["timeout", "ok"]


async def test_a_models_own_timeouts_win():
    never = asyncio.Event()
    gateway, config = models(
        {"one": {"timeouts": {"between_tokens_s": 0.05}}}, one=ScriptedChat([[TextDelta("Half"), never]])
    )
    stream = await gateway.stream(HELLO, ASKED, config, decide=permit_all)
    text, end = await whole(stream)
    assert (text, end.reply.text, end.reply.finish_reason) == ("Half", "Half", "incomplete")
    assert end.failure is not None
    assert end.failure.kind == "timeout"
    assert stream.record is not None
    assert stream.record.outcome == "incomplete"


async def test_a_broken_stream_is_never_a_clean_end():
    gateway, config = models(one=ScriptedChat([[TextDelta("Half of "), DOWN]]), two=ScriptedChat(["Two."]))
    text, end = await whole(await gateway.stream(HELLO, ASKED, config, decide=permit_all))
    assert text == "Half of "
    assert end.failure is DOWN
    assert end.reply.finish_reason == "incomplete"


ANSWER = "The refund was booked on Monday, and the money will be there within three days."
WORDS = [f"{word} " for word in ANSWER.split(" ")]
WORDS[-1] = WORDS[-1].rstrip()


@pytest.mark.parametrize("back", ["goes on", "repeats the last words", "begins anew"])
async def test_a_stream_that_breaks_anywhere_goes_on_elsewhere_and_says_nothing_twice(back: str):
    for cut in range(1, len(WORDS)):
        await goes_on(cut, back)


async def goes_on(cut: int, back: str) -> None:
    said = "".join(WORDS[:cut])
    start = {"goes on": len(said), "repeats the last words": max(0, len(said) - 16), "begins anew": 0}[back]
    two = ScriptedChat([ANSWER[start:] if cut > 2 or back != "repeats the last words" else ANSWER])
    one = ScriptedChat([[UsageReport(USAGE), *(TextDelta(word) for word in WORDS[:cut]), DOWN]])
    gateway, config = models(one=one, two=two)
    stream = await gateway.stream(HELLO, GOES_ON, config, decide=permit_all)
    text, end = await whole(stream)
    assert text == ANSWER
    assert (end.reply.text, end.reply.finish_reason, end.failure) == (ANSWER, "stop", None)
    assert [message.role for message in two.chats[0].messages] == ["user", "assistant", "user"]
    assert two.chats[0].messages[1].parts == (TextPart(said),)
    assert two.chats[0].messages[2].parts == (TextPart(GO_ON),)
    assert stream.record is not None
    assert [tried.outcome for tried in stream.record.tried] == ["unavailable", "ok"]
    assert stream.record.model == "two"


async def test_who_goes_on_may_break_too_and_then_the_end_is_incomplete():
    one, two = ScriptedChat([[TextDelta("Half of "), DOWN]]), ScriptedChat([[TextDelta("the way"), DOWN]])
    gateway, config = models(one=one, two=two)
    text, end = await whole(await gateway.stream(HELLO, GOES_ON, config, decide=permit_all))
    assert text == end.reply.text == "Half of the way"
    assert end.reply.finish_reason == "incomplete"
    assert end.failure is DOWN


async def test_a_begun_tool_call_and_an_answer_by_schema_are_not_gone_on_with():
    half = [TextDelta("I look. "), ToolCallDelta(0, "c1", "look", '{"a'), DOWN]
    two = ScriptedChat(["Two."])
    gateway, config = models(one=ScriptedChat([half]), two=two)
    looking = replace(HELLO, tools=(ChatTool("look"),))
    _, end = await whole(await gateway.stream(looking, GOES_ON, config, decide=permit_all))
    assert end.reply.finish_reason == "incomplete"
    gateway, config = models(one=ScriptedChat([[TextDelta('{"a"'), DOWN]]), two=two)
    shaped = replace(HELLO, output_schema={"type": "object"})
    _, end = await whole(await gateway.stream(shaped, GOES_ON, config, decide=permit_all))
    assert end.reply.finish_reason == "incomplete"
    assert not two.chats


async def test_policy_and_limits_are_asked_anew_for_who_steps_in():
    asked: list[str] = []

    def once(model: str, attributes: Any, /) -> Answered:
        asked.append(model)
        return Answered(permit=asked.count(model) == 1)

    two, room = ScriptedChat(["Two."]), Room()
    broken = ScriptedChat([[TextDelta("Half"), DOWN]])
    gateway, config = models(gateway={"limits": room}, one=broken, two=two)
    _, end = await whole(await gateway.stream(HELLO, GOES_ON, config, decide=once))
    assert asked == ["one", "two", "two"]
    assert end.reply.finish_reason == "incomplete"
    assert not two.chats
    assert room.admitted == ["one"]


async def test_who_leaves_early_ends_the_vendors_stream_and_pays_for_what_came():
    never = asyncio.Event()
    one, room = ScriptedChat([[TextDelta("word " * 30), never]]), Room()
    gateway, config = models(gateway={"limits": room}, one=one)
    stream = await gateway.stream(HELLO, ASKED, config, decide=permit_all)
    await stream.aclose()
    assert one.closed == 1
    assert room.settled[0].output_tokens == 50
    assert stream.record is not None
    assert stream.record.outcome == "cancelled"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cancelled_call_is_settled(streamed: bool):
    never = asyncio.Event()
    one, room = ScriptedChat([[never]]), Room()
    gateway, config = models(gateway={"limits": room}, one=one)
    ask = gateway.stream if streamed else gateway.chat
    task = asyncio.ensure_future(ask(HELLO, ASKED, config, decide=permit_all))
    await one.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gateway.aclose()
    assert len(room.settled) == 1
    assert room.settled[0].model_calls == 1


@pytest.mark.parametrize(("at_limit", "answers"), [("refuse", False), ("cheaper", True)])
async def test_a_limit_does_what_it_declares(at_limit: Any, answers: bool):
    dear = {"price": {"input_usd": 10, "output_usd": 10}}
    cheap = {"price": {"input_usd": 1, "output_usd": 1}}
    room = Room({"one": LimitReached("budget", "5 USD a day", at_limit)})
    one, dearer, two = ScriptedChat(), ScriptedChat(), ScriptedChat(["Two."])
    gateway, config = models(
        {"one": dear, "dearer": dear, "two": cheap}, gateway={"limits": room}, one=one, dearer=dearer, two=two
    )
    if answers:
        result = await gateway.chat(HELLO, ASKED, config, decide=permit_all)
        assert result.record.model == "two"
    else:
        with pytest.raises(ChatError) as caught:
            await gateway.chat(HELLO, ASKED, config, decide=permit_all)
        assert (caught.value.kind, caught.value.at_limit) == ("budget", "refuse")
        assert not two.chats
    assert not one.chats
    assert not dearer.chats


async def test_an_overflow_falls_back_to_who_reads_more_only():
    over = ProviderError("context_overflow", "Too long.")
    small, same, large = ScriptedChat([over]), ScriptedChat(), ScriptedChat(["Read it."])
    sizes = {"small": {"context_tokens": 8_000}, "same": {"context_tokens": 8_000}, "large": {"context_tokens": 32_000}}
    gateway, config = models(sizes, small=small, same=same, large=large)
    result = await gateway.chat(HELLO, ASKED, config, decide=permit_all)
    assert result.record.model == "large"
    assert not same.chats
    gateway, config = models(sizes, small=small, same=same)
    with pytest.raises(ChatError) as caught:
        await gateway.chat(HELLO, ASKED, config, decide=permit_all)
    assert caught.value.kind == "context_overflow"


async def test_a_filter_is_not_gone_round():
    two = ScriptedChat()
    gateway, config = models(one=ScriptedChat([ProviderError("content_filter", "No.")]), two=two)
    with pytest.raises(ChatError) as caught:
        await gateway.chat(HELLO, ASKED, config, decide=permit_all)
    assert caught.value.kind == "model_filtered"
    assert not two.chats


@pytest.mark.parametrize("finish", ["refusal", "content_filter", "length"])
async def test_a_refusal_or_a_cut_answer_is_an_answer_that_says_so(finish: Any):
    said = ChatReply((TextPart("I"),), finish, usage=USAGE)
    two = ScriptedChat()
    gateway, config = models(one=ScriptedChat([said]), two=two)
    result = await gateway.chat(HELLO, ASKED, config, decide=permit_all)
    assert (result.reply.finish_reason, result.record.finish_reason) == (finish, finish)
    assert not two.chats


@settings(max_examples=50, deadline=None)
@given(st.text("ab ", min_size=0, max_size=60), st.text("ab ", max_size=60), st.lists(st.integers(1, 9), max_size=8))
def test_a_joint_never_takes_more_than_a_repetition(said: str, rest: str, sizes: list[int]):
    def fed(text: str) -> str:
        joint, told, at = Joint(said), "", 0
        for size in [*sizes, len(text) or 1]:
            told += joint.feed(text[at : at + size])
            at += size
        return told + joint.flush()

    told = fed(rest)
    assert rest.endswith(told)
    taken = rest[: len(rest) - len(told)]
    assert taken in said
    assert not taken or len(taken) >= min(12, max(len(said), 4))
    if len(said) >= 4 and "ab" * 30 not in said:
        assert len(fed(said + rest)) <= len(said + rest)
