"""What an expression was made into once is found again only where it means the same."""

from __future__ import annotations

from typing import Any

from signoff.workflows.expressions import CelExpression, ExpressionCompiler
from signoff.workflows.model import Read
from signoff.workflows.shapes import ANY, INTEGER, NUMBER, Shape, object_shape


def compiled(source: str, shapes: dict[str, Shape], steps: tuple[str, ...] = ()) -> CelExpression:
    made = ExpressionCompiler({name: (lambda shape=shape: shape) for name, shape in shapes.items()}, steps).compile(
        source
    )
    assert isinstance(made, CelExpression), made
    return made


class Given:
    """A scope of plain values."""

    def __init__(self, **values: Any) -> None:
        self._values = values

    def value(self, root: str) -> Any:
        return self._values[root]

    def readable(self, root: str) -> bool:
        return root in self._values


def test_a_name_is_a_step_in_one_document_and_a_value_in_another() -> None:
    as_step = compiled("a.done == true", {"a": ANY}, ("a",))
    as_value = compiled("a.done == true", {"a": ANY})
    assert as_step.reads == (Read("a", ("done",), status_only=True),)
    assert as_value.reads == (Read("a", ("done",)),)
    assert compiled("a.done == true", {"a": ANY}, ("a",)).reads == as_step.reads


def test_numbers_are_mixed_where_the_schemas_say_so() -> None:
    whole, mixed = object_shape({"x": INTEGER, "y": INTEGER}), object_shape({"x": INTEGER, "y": NUMBER})
    assert compiled("a.x / a.y", {"a": whole}).evaluate(Given(a={"x": 7, "y": 2})) == 3  # pyright: ignore[reportArgumentType]  (as much of a scope as it asks)
    assert compiled("a.x / a.y", {"a": mixed}).evaluate(Given(a={"x": 7, "y": 2.0})) == 3.5  # pyright: ignore[reportArgumentType]  (the same)
    assert compiled("a.x / a.y", {"a": whole}).evaluate(Given(a={"x": 7, "y": 2})) == 3  # pyright: ignore[reportArgumentType]  (the same)


def test_each_document_keeps_its_own_shape() -> None:
    first, second = (compiled("a.x", {"a": object_shape({"x": shape})}) for shape in (INTEGER, NUMBER))
    assert (first.shape, second.shape) == (INTEGER, NUMBER)
    assert first.evaluate(Given(a={"x": 1})) == second.evaluate(Given(a={"x": 1})) == 1  # pyright: ignore[reportArgumentType]  (the same)
