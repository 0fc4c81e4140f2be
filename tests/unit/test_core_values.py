"""`@value`: what `dataclasses` gives a frozen class with slots, compiled only where somebody asks for it."""

from __future__ import annotations

from dataclasses import field, fields, replace

import pytest

from signoff.core.values import altered, value


@value
class Point:
    """A place."""

    x: int
    y: int = 0
    name: str = field(default="", compare=False)
    note: str = field(default="", repr=False)


@value
class Named(Point):
    """A place with something more."""

    label: str = ""


@value
class Nothing:
    """No fields at all."""


@value
class Own:
    """It says itself what it is."""

    x: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "own"


def test_values_are_compared_and_hashed_by_their_fields() -> None:
    assert Point(1, 2, "a") == Point(1, 2, "b")
    assert Point(1, 2) != Point(1, 3)
    assert len({Point(1, 2), Point(1, 2), Point(2, 2)}) == 2
    assert hash(Point(1, 2, "a")) == hash(Point(1, 2, "b"))
    assert Point(1) != (1, 0, "", "")
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


def test_what_comes_from_another_is_another() -> None:
    assert Named(1, 2) != Point(1, 2)
    assert Named(1, 2, label="a") != Named(1, 2, label="b")
    assert Named(1, 2, label="a") == Named(1, 2, label="a")
    assert {Named(1, 2): "named"}.get(Named(1, 2)) == "named"


def test_values_are_shown_with_their_fields() -> None:
    assert repr(Named(1, 2, "a", "hidden", "b")) == "Named(x=1, y=2, name='a', label='b')"
    assert (repr(Own(1)), Own(1) == Own(2), hash(Own(1))) == ("own", True, 7)


def test_they_are_dataclasses_with_slots() -> None:
    assert [one.name for one in fields(Named)] == ["x", "y", "name", "note", "label"]
    assert replace(Point(1, 2), y=3) == Point(1, 3)
    with pytest.raises(AttributeError):
        object.__setattr__(Point(1), "z", 1)


def test_a_value_with_other_members_is_another_and_the_first_stays() -> None:
    first = Named(1, 2, "a", "hidden", "b")
    second = altered(first, y=3, label="c")
    assert (type(second), second, second.note) == (Named, Named(1, 3, "a", "hidden", "c"), "hidden")
    assert first == Named(1, 2, "a", "hidden", "b")
    with pytest.raises(AttributeError):
        altered(first, z=1)
