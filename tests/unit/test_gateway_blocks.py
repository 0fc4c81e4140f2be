"""Blocks of room that a process spends by itself: never more than there is, and all that is left goes back."""

from __future__ import annotations

import asyncio
import random
from itertools import count
from uuid import UUID

from support.limit_cases import MINUTE, MODEL, asked, estimate

from signoff.capabilities.gateway.limits.counting import counted_by, shares_of
from signoff.capabilities.gateway.limits.flows import LARGEST, Block, Drawn, Flow, Settlement
from signoff.catalog.model_limits import ModelLimit
from signoff.core.money import Usage

LIMITS = (ModelLimit("team", "requests", 1_000, MINUTE), ModelLimit("team", "tokens", 100_000, MINUTE))
NUMBERS = count(1)


def a_block(calls: int, tokens: int = 10) -> tuple[Block, list[Settlement]]:
    """A block for so many calls, and what it writes."""
    written: list[Settlement] = []
    shares = shares_of(counted_by(LIMITS, asked().caller, MODEL.name), [1, tokens])
    made = Block(asked().caller.org_id, new_id(), shares, [7, 7], calls, 1.0, new_id, written.append)
    return made, written


def new_id() -> UUID:
    return UUID(int=next(NUMBERS))


def drawn(block: Block, tokens: int = 10) -> Drawn | None:
    return block.draw([1, tokens], asked(), MODEL, estimate(tokens))


def settle(one: Drawn, tokens: int) -> None:
    asyncio.run(one.settle(Usage(1, tokens, 0)))


def test_a_block_has_room_for_its_calls_and_no_more():
    block, _ = a_block(3)
    assert [drawn(block) is not None for _ in range(5)] == [True, True, True, False, False]


def test_a_call_that_needs_too_much_of_one_limit_takes_nothing_of_any():
    block, written = a_block(3)
    assert drawn(block, 31) is None
    assert drawn(block, 30) is not None
    block.close()
    assert written[0].differences == [-2, 0]


def test_what_a_call_did_not_need_is_there_for_the_next_while_the_block_is_open():
    block, written = a_block(2)
    first = drawn(block, 20)
    assert first is not None
    assert drawn(block, 1) is None
    settle(first, 5)
    settle(first, 5)  # a second time says nothing
    assert drawn(block, 15) is not None
    assert drawn(block, 1) is None
    block.close()
    assert written[0].differences == [0, 0]
    assert written[0].asked == [1, 25]
    assert written[0].lent == [2, 20]


def test_what_a_call_needed_beyond_its_estimate_is_counted_too():
    block, written = a_block(1)
    one = drawn(block)
    assert one is not None
    settle(one, 75)
    block.close()
    assert written[0].differences == [0, 65]


def test_calls_under_way_have_reservations_of_their_own_once_their_block_is_over():
    block, written = a_block(4)
    ended, going = drawn(block), drawn(block)
    assert ended is not None
    assert going is not None
    settle(ended, 10)
    assert block.close()
    assert not block.close()
    assert written[0].kept is not None
    assert [(kept.reservation, kept.about["input_tokens"]) for kept in written[0].kept] == [(going.reservation, 10)]
    assert written[0].differences == [-2, -20]
    settle(going, 4)
    settle(ended, 1)
    assert [one.reservation for one in written[1:]] == [going.reservation]
    assert (written[1].differences, written[1].slots) == ([0, -6], [7, 7])


def test_whatever_happens_what_is_counted_is_what_was_used_and_what_is_under_way():
    chance = random.Random(11)
    for _ in range(80):
        block, written = a_block(chance.randint(1, 20), chance.randint(1, 30))
        granted = [share.amount * block.calls for share in block.shares]
        going: list[Drawn] = []
        used = [0, 0]
        for _ in range(chance.randint(0, 60)):
            if going and chance.random() < 0.5:
                one = going.pop(chance.randrange(len(going)))
                tokens = chance.randint(0, one.amounts[1])
                settle(one, tokens)
                used = [used[0] + 1, used[1] + tokens]
            elif (new := drawn(block, chance.randint(0, 40))) is not None:
                going.append(new)
            under_way = [sum(one.amounts[at] for one in going) for at in (0, 1)]
            assert all(used[at] + under_way[at] <= granted[at] for at in (0, 1))
        block.close()
        for one in going:
            tokens = chance.randint(0, 50)
            settle(one, tokens)
            used = [used[0] + 1, used[1] + tokens]
        counted = [granted[at] + sum(one.differences[at] for one in written) for at in (0, 1)]
        assert counted == used


def test_a_block_is_wished_for_where_calls_come_all_the_time():
    flow = Flow(LIMITS, counted_by(LIMITS, asked().caller, MODEL.name))

    def come(calls: int, at_s: float) -> int:
        for _ in range(calls):
            flow.draw(at_s, [1, 1], asked(), MODEL, estimate(1))
        return flow.wish(at_s, 1.0)

    assert come(1, 100.0) == 1
    assert come(2, 100.3) == 1  # three by now: too few
    assert come(1, 100.8) == 7  # five a second and a quarter more
    assert come(2_000, 100.9) == LARGEST
    assert come(40, 101.9) == 50
    assert come(9, 104.5) == 1  # it was quiet: what came before says nothing
    assert flow.wish(104.6, 0.0) == 1
    flow.asks = True
    assert come(50, 104.7) == 1  # one is asked for already
