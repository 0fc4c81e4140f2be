"""Texts made to keep detectors busy: each of these took minutes to days while work grew with the square of the text."""

from __future__ import annotations

import pytest

from signoff.governance.injection import check_outgoing
from signoff.governance.privacy import Detector, Finding
from signoff.governance.privacy.detector import resolved
from signoff.governance.privacy.model import ALL_KINDS, NAME_KINDS
from signoff.governance.privacy.names import Word, find_people
from signoff.governance.privacy.places import find_groups

MANY = 8_000


@pytest.mark.parametrize("piece", ["password:", "A.", "Aa-", "A'a.", "-----BEGIN PRIVATE KEY-----"])
def test_a_run_without_a_space_is_searched_in_time(piece: str) -> None:
    found = Detector().find(piece * (30_000 // len(piece)), ALL_KINDS - NAME_KINDS)
    # Only the last key, which may be cut off, is one.
    assert [one.rule for one in found] == (["private-key"] if "KEY" in piece else [])


def test_many_findings_are_told_apart_in_time() -> None:
    found = [Finding(at * 8, at * 8 + 6, "EMAIL_ADDRESS", "email", checked=True) for at in range(MANY)]
    across = [Finding(at * 8 + 4, at * 8 + 9, "PERSON", "model") for at in range(MANY)]
    left = resolved([*across, *found])
    assert len(left) == 2 * MANY
    assert left[:3] == [found[0], Finding(6, 8, "PERSON", "model"), found[1]]


def test_many_companies_and_people_are_told_apart_in_time() -> None:
    companies = find_groups("Aa Inc. " * 2_000)
    assert {one.kind for one in companies} == {"ORGANIZATION"}
    text = "Mr Ann\n" * MANY
    words = [Word(at * 7 + 3, at * 7 + 6, "Ann", 0.0, 0.0, 0.0, 0.0) for at in range(MANY)]
    people = find_people(text, words)
    assert len(people) == MANY
    assert text[people[1].start : people[1].end] == "Ann"


def test_a_picture_without_an_address_is_looked_at_in_time() -> None:
    assert check_outgoing("<img src=" + " " * 150_000 + '"').verdict == "allow"
    assert check_outgoing('<img src = " https://evil.example/x.png').verdict == "block"
