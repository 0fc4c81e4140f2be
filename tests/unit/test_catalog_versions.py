"""Versions and constraints mean what npm's semver says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.catalog.versions import ANY, parse_constraint, parse_version, split_reference

VERSIONS = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))


@pytest.mark.parametrize(
    ("constraint", "inside", "outside"),
    [
        ("^3", ["3.0.0", "3.9.9"], ["2.9.9", "4.0.0"]),
        ("^1.2", ["1.2.0", "1.9.0"], ["1.1.9", "2.0.0"]),
        ("^1.2.3", ["1.2.3", "1.99.0"], ["1.2.2", "2.0.0"]),
        ("^0.2", ["0.2.0", "0.2.9"], ["0.1.9", "0.3.0"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.2.2", "0.3.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.2", "0.0.4"]),
        ("^0.0", ["0.0.0", "0.0.9"], ["0.1.0"]),
        ("^0", ["0.0.0", "0.9.9"], ["1.0.0"]),
        ("~1.2", ["1.2.0", "1.2.9"], ["1.1.9", "1.3.0"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.2.2", "1.3.0"]),
        ("~1", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0"]),
        ("1", ["1.0.0", "1.9.9"], ["2.0.0"]),
        ("1.2", ["1.2.0", "1.2.9"], ["1.3.0"]),
        ("1.2.3", ["1.2.3"], ["1.2.2", "1.2.4"]),
        (None, ["0.0.0", "99.0.0"], []),
    ],
)
def test_constraint_allows_what_npm_allows(constraint: str | None, inside: list[str], outside: list[str]) -> None:
    parsed = parse_constraint(constraint)
    assert all(parsed.allows(parse_version(version)) for version in inside)
    assert not any(parsed.allows(parse_version(version)) for version in outside)


@pytest.mark.parametrize(
    "text", ["", "^", "v1", "1.2.3.4", "01.2", "^1.x", ">=1", "1.2.3-beta", " 1", "1\n", "^^1", "²"]
)
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version constraint"):
        parse_constraint(text)


@pytest.mark.parametrize("text", ["1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-rc1", "1.2.3\n", "a.b.c", "١.٢.٣"])  # noqa: RUF001  (digits that are none of ours)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        parse_version(text)


@given(VERSIONS)
def test_every_constraint_allows_its_own_version(version: tuple[int, int, int]) -> None:
    text = ".".join(map(str, version))
    assert all(parse_constraint(f"{operator}{text}").allows(version) for operator in ("^", "~", ""))
    assert ANY.allows(version)


@given(VERSIONS, VERSIONS)
def test_tilde_is_never_wider_than_caret_above_zero(version: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    text = ".".join(map(str, version))
    if version[0] > 0 and parse_constraint(f"~{text}").allows(other):
        assert parse_constraint(f"^{text}").allows(other)


def test_reference_splits_at_its_first_at() -> None:
    assert split_reference("classify@^3") == ("classify", "^3")
    assert split_reference("classify") == ("classify", None)
    assert split_reference("classify@") == ("classify", "")
