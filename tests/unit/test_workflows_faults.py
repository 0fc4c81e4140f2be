"""What is no CEL is told once, in plain words, with what CEL has for what people write elsewhere."""

from __future__ import annotations

import pytest

from signoff.workflows.expressions import ExpressionCompiler, Faulty
from signoff.workflows.shapes import ANY

COMPILER = ExpressionCompiler({"input": lambda: ANY, "a": lambda: ANY}, ("a",))


@pytest.mark.parametrize(
    ("source", "offset", "detail", "hint"),
    [
        ("a.x = 'y'", 4, "'=' cannot stand here.", "Write == to compare."),
        ("a.x === 1", 6, "'=' cannot stand here.", "Write == to compare."),
        ("a.x == 1 and a.y", 9, "'and' cannot stand here.", "Write && for 'and'."),
        ("a.x or a.y", 4, "'or' cannot stand here.", "Write || for 'or'."),
        ("not a.x", 4, "'a' cannot stand here.", "Write ! for 'not', as in !(a && b)."),
        ("not(a.x)", 0, "named 'not'.", "Write ! for 'not', as in !(a && b)."),
        ("1 if a.x else 2", 2, "'if' cannot stand here.", "Write condition ? one : other."),
        ("if a.x then 1 else 2", 0, "'if' is a word of its own.", "Write condition ? one : other."),
        ("len(a.x)", 0, "named 'len'.", "Write size(…)."),
        ("a.x == None", 7, "named 'None'.", "Write null."),
        ("a.x == True", 7, "named 'True'.", "Write true."),
        ("a.x <> 1", 5, "'>' cannot stand here.", "Write != for 'not equal', or >."),
        ("{{ a.x }}", 7, "'}' cannot stand here.", "Write ${…} around an expression, with one brace."),
        ("a.x == “y”", 7, "'“' cannot stand here.", "Write straight quotes, ' or \"."),
        ("", 0, "there is nothing.", None),
        ("a.x ==", 6, "it ends where more is needed.", None),
        ("a.x ? 1", 7, "it ends where more is needed.", None),
        ("(a.x", 4, "')' is missing.", None),
        ("(" * 300 + "1" + ")" * 300, 0, "It nests too deep.", "Move parts into `set` steps."),
    ],
)
def test_a_fault_is_told_once_with_what_to_write(source: str, offset: int, detail: str, hint: str | None) -> None:
    found = COMPILER.compile(source)
    assert isinstance(found, Faulty)
    [finding] = found.findings
    assert finding.detail.endswith(detail)
    assert (finding.offset, finding.suggestion) == (offset, hint)
