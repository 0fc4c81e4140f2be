"""Redaction and tokens: nothing found is left, everything comes back, wherever a stream is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.governance.privacy import (
    GROUPS,
    Detector,
    NamesUnavailableError,
    PersonalDataError,
    StreamRestorer,
    Tokens,
    kinds_in,
    kinds_of,
    mapped,
    redacted,
)
from signoff.governance.privacy.model import MAX_TEXT_CHARACTERS, Finding

TEXT = "Pay 4111 1111 1111 1111 or DE89 3704 0044 0532 0130 00, ask ana@example.com; again ana@example.com."
KINDS = frozenset({"CREDIT_CARD", "IBAN_CODE", "EMAIL_ADDRESS"})


def find(text: str, kinds: Any, /) -> list[Finding]:
    return Detector().find(text, kinds, names=False)


def tokens(seed: int = 7) -> Tokens:
    return Tokens(lambda count: bytes([seed]) * count)


def test_redaction_names_the_kind_and_leaves_the_rest():
    assert redacted(TEXT, find, KINDS) == (
        "Pay [CREDIT_CARD] or [IBAN_CODE], ask [EMAIL_ADDRESS]; again [EMAIL_ADDRESS]."
    )
    assert redacted(TEXT, find, frozenset({"IBAN_CODE"})).count("[") == 1


def test_the_same_value_has_the_same_token_and_comes_back():
    own = tokens()
    shown = own.tokenised(TEXT, find, KINDS)
    assert "4111" not in shown
    assert "ana@" not in shown
    assert shown.count("[EMAIL_ADDRESS_1_") == 2
    assert own.restored(shown) == TEXT
    assert own.restored(shown, {"IBAN_CODE"}).count("[") == 3, "a reader who may see one kind sees one"
    assert own.concealed(TEXT) == shown
    assert "4111" not in repr(own)


def test_numbers_are_texts_too_however_a_table_wrote_them():
    rows = [{"card": 4111111111111111}, {"card": 4111111111111111.0}, {"card": 4.5}, {"card": True}]
    shown = mapped(rows, lambda text: redacted(text, find, KINDS))
    assert [row["card"] for row in shown] == ["[CREDIT_CARD]", "[CREDIT_CARD]", 4.5, True]


def test_names_that_become_the_same_stay_apart_however_many_there_are():
    found = mapped({f"{number}@example.com": number for number in range(5_000)}, lambda _: "[EMAIL_ADDRESS]")
    assert list(found.values()) == list(range(5_000))
    assert list(found)[:3] == ["[EMAIL_ADDRESS]", "[EMAIL_ADDRESS]_2", "[EMAIL_ADDRESS]_3"]


def test_a_token_of_another_call_restores_nothing():
    own, other = tokens(1), tokens(2)
    shown = own.tokenised(TEXT, find, KINDS)
    other.tokenised(TEXT, find, KINDS)
    assert other.restored(shown) == shown
    assert own.restored("[CREDIT_CARD_1_aaaaaaaa] [CREDIT_CARD_1]") == "[CREDIT_CARD_1_aaaaaaaa] [CREDIT_CARD_1]"


@given(st.lists(st.integers(1, 40), max_size=60), st.sampled_from(["", "[", "x[y] ", "[[", "[CREDIT_CARD_1_"]))
def test_a_stream_restores_wherever_its_borders_fall(sizes: list[int], noise: str):
    own = tokens()
    shown = noise + own.tokenised(TEXT, find, KINDS) + noise
    restorer, said, place = StreamRestorer(own), "", 0
    for size in [*sizes, len(shown)]:
        said += restorer.feed(shown[place : place + size])
        place += size
        assert len(said) >= min(place, len(shown)) - own.longest - len(TEXT)
    assert said + restorer.flush() == noise + TEXT + noise


def test_a_stream_without_tokens_is_not_held_back():
    restorer = StreamRestorer(tokens())
    assert restorer.feed("a list [1, 2") == "a list [1, 2"


def test_every_text_of_a_json_value_is_changed():
    value: dict[str, Any] = {
        "a": [TEXT, {"ana@example.com": 4111111111111111, "n": 12, "b": True, "z": None, "f": 1.5}]
    }
    changed = mapped(value, lambda text: redacted(text, find, KINDS))
    assert not any(part in json.dumps(changed) for part in ("4111", "ana@", "DE89"))
    assert changed["a"][1]["n"] == 12
    assert value["a"][1]["n"] == 12
    own = tokens()
    there_and_back = mapped(mapped(value, lambda text: own.tokenised(text, find, KINDS)), own.restored)
    assert there_and_back["a"][0] == TEXT
    assert there_and_back["a"][1]["ana@example.com"] == "4111111111111111"
    assert kinds_in(value, find, KINDS) == KINDS


def test_limits_refuse_and_pass_nothing():
    with pytest.raises(PersonalDataError, match="at most"):
        find("x" * (MAX_TEXT_CHARACTERS + 1), KINDS)
    deep: Any = "ana@example.com"
    for _ in range(70):
        deep = [deep]
    with pytest.raises(PersonalDataError, match="nested"):
        mapped(deep, str)


def test_without_a_model_names_are_refused_and_patterns_work():
    with pytest.raises(NamesUnavailableError, match="signoff models pull local/rampart"):
        Detector().find("Ana Maria", GROUPS["pii"])
    assert Detector().find("ana@example.com", GROUPS["contact"])


def test_an_obligation_names_groups_and_kinds():
    assert kinds_of("financial, email_address") == GROUPS["financial"] | {"EMAIL_ADDRESS"}
    with pytest.raises(PersonalDataError, match="contact"):
        kinds_of("contacts")
