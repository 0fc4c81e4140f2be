"""The order in which a route's models are asked: always the same for the same facts, and by what the route says."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.capabilities.gateway.resilience.health import WINDOW_S, Health, Measured
from signoff.capabilities.gateway.routing.ranking import Standing, drawn, ranked, share
from signoff.catalog.models import PREFERENCES, Route
from signoff.core.clock import SystemClock
from signoff.core.money import Cost

NAMES = ("a", "b", "c", "d", "e")
measured = st.builds(Measured, st.integers(0, 20), st.floats(0, 1), st.none() | st.floats(0.01, 30, allow_nan=False))
standing = st.builds(
    Standing,
    st.sampled_from(NAMES),
    st.none() | st.builds(Cost, st.integers(0, 10**6)),
    measured,
    st.none() | st.floats(0, 1),
)
standings = st.lists(standing, max_size=5, unique_by=lambda one: one.model)
weights = st.dictionaries(st.sampled_from(NAMES), st.floats(0.1, 100), max_size=3)


def order(found: list[Standing], route: Route, **changes: Any) -> list[str]:
    facts: dict[str, Any] = {"risk": "low", "latency_s": None, "key": "k", **changes}
    return [one.model for one in ranked(found, route, **facts)]


@given(standings, st.sampled_from(PREFERENCES), weights, st.sampled_from(["", "low", "high"]), st.text(max_size=5))
@settings(max_examples=100, deadline=None)
def test_the_order_is_the_same_every_time_and_has_everybody_once(
    found: list[Standing], prefer: Any, weighed: dict[str, float], risk: str, key: str
):
    route = Route(NAMES, prefer=prefer, weights=weighed)
    first = order(found, route, risk=risk, latency_s=2.0, key=key)
    assert first == order(list(found), route, risk=risk, latency_s=2.0, key=key)
    assert sorted(first) == sorted(one.model for one in found)
    failing = [one.model for one in found if one.failing]
    assert not failing or set(first[-len(failing) :]) == set(failing), "who fails comes last"


@given(standings, st.sampled_from(PREFERENCES))
@settings(max_examples=50, deadline=None)
def test_equals_stay_in_the_routes_order(found: list[Standing], prefer: Any):
    same = [Standing(one.model, Cost(5), Measured(), 0.5) for one in found]
    assert order(same, Route(NAMES, prefer=prefer)) == [one.model for one in found]


def test_each_preference_decides():
    one = Standing("one", Cost(10), Measured(9, 0.0, 0.5), 0.7)
    two = Standing("two", Cost(5), Measured(9, 0.0, 0.9), 0.8)
    new = Standing("new", None, Measured(), None)
    found = [one, two, new]
    assert order(found, Route(NAMES)) == ["one", "two", "new"]
    assert order(found, Route(NAMES, prefer="price")) == ["two", "one", "new"]
    assert order(found, Route(NAMES, prefer="latency")) == ["new", "one", "two"]
    assert order(found, Route(NAMES, prefer="quality")) == ["two", "one", "new"]
    assert order(found, Route(NAMES, prefer="latency"), risk="high") == ["two", "one", "new"]
    assert order(found, Route(NAMES), latency_s=0.4) == ["new", "one", "two"]


def test_shares_are_as_the_weights_say_and_a_key_stays_where_it_is():
    found = [Standing(name, None, Measured()) for name in ("a", "b", "c")]
    route = Route(("a", "b", "c"), weights={"a": 3.0, "b": 1.0})
    counts = Counter(drawn(found, route, f"key {number}") for number in range(4_000))
    assert set(counts) == {"a", "b"}
    assert 0.72 < counts["a"] / 4_000 < 0.78
    more = Route(("a", "b", "c"), weights={"a": 3.0, "b": 1.0, "c": 1.0})
    for number in range(500):
        before, after = (drawn(found, one, f"key {number}") for one in (route, more))
        assert after in (before, "c"), "a new model takes keys and moves none between the others"
    assert 0 < share("", "") < 1


class Moved(SystemClock):
    at_s = 0.0

    def monotonic_s(self) -> float:
        return self.at_s


def test_health_is_of_the_last_minutes_and_of_one_organisations_model():
    clock = Moved()
    health = Health(clock)
    mine, other = UUID(int=1), UUID(int=2)
    for latency_s in (1.0, 2.0, 9.0):
        health.saw((mine, "m"), failed=False, latency_s=latency_s)
    health.saw((mine, "m"), failed=True, latency_s=0.1)
    assert health.of((mine, "m")) == Measured(4, 0.25, 2.0)
    assert health.of((other, "m")) == Measured()
    clock.at_s = WINDOW_S + 1
    assert health.of((mine, "m")) == Measured()
