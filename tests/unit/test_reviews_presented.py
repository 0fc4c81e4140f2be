"""The bytes that a decision is bound to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.capabilities.reviews import Review, ReviewRequest
from signoff.capabilities.reviews.checks import role_name
from signoff.capabilities.reviews.model import ReviewLimits
from signoff.capabilities.reviews.presented import canonical_json, presented_document, read_json
from signoff.core.actors import Actor
from signoff.core.errors import InvalidError, LimitError

ORG = UUID(int=1)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMITS = ReviewLimits()
REQUEST = ReviewRequest(
    run_id=UUID(int=2),
    path="decision",
    workflow="support/refund",
    workflow_version="1.2.0",
    risk="medium",
    release="ab" * 32,
    title="Refund this order?",
    role="role/support-lead",
    proposed={"order": "W1", "cents": 1250},
    editable=("cents",),
    shown={"input.ticket.text": "my jug is broken \0 \u2603", "docs": [{"text": "…"}]},
    started_by=Actor(ORG, "key", "ci"),
    opened_at=NOW,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def document(**changes: Any) -> bytes:
    return presented_document(replace(REQUEST, **changes), LIMITS)


def test_the_document_is_spelt_out() -> None:
    assert document(shown={"b": 1, "a": None}) == (
        b'{"editable":["cents"],"proposed":{"cents":1250,"order":"W1"},"release":"' + b"ab" * 32 + b'",'
        b'"shown":[{"source":"b","value":1},{"source":"a","value":null}],'
        b'"title":"Refund this order?","workflow":"support/refund"}'
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Refund?"},
        {"workflow": "support/other"},
        {"release": "cd" * 32},
        {"proposed": {"order": "W1", "cents": 1251}},
        {"proposed": {"order": "W1", "cents": 1250.0}},
        {"editable": ()},
        {"shown": {"input.ticket.text": "my jug is fine"}},
        {"shown": dict(reversed(list(REQUEST.shown.items())))},
    ],
)
def test_whatever_the_reviewer_sees_changes_the_digest(changes: dict[str, Any]) -> None:
    assert hashlib.sha256(document(**changes)).digest() != hashlib.sha256(document()).digest()


@pytest.mark.parametrize("changes", [{"path": "other"}, {"run_id": UUID(int=3)}, {"role": "role/admin"}])
def test_what_is_not_presented_does_not(changes: dict[str, Any]) -> None:
    assert document(**changes) == document()


@given(JSON)
def test_canonical_json_reads_back_the_same_and_spells_it_the_same(value: Any) -> None:
    try:
        content = canonical_json(value)
    except InvalidError:
        assert "\\ud" in json.dumps(value)
        return
    assert read_json(content) == value
    assert canonical_json(read_json(content)) == content


@given(st.dictionaries(st.text("abcdé", max_size=3), st.integers(), max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert canonical_json(dict(reversed(list(value.items())))) == canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), {"a": {1, 2}}, "\udc00", b"x"])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidError, match="no JSON"):
        canonical_json(value)


def test_too_much_evidence_is_refused_with_what_to_do() -> None:
    with pytest.raises(LimitError, match="Show fewer fields"):
        presented_document(REQUEST, ReviewLimits(presented_bytes=100))


def test_only_what_is_proposed_can_be_edited() -> None:
    with pytest.raises(InvalidError, match="amount"):
        document(editable=("amount",))


def test_roles_are_stored_without_their_prefix() -> None:
    assert role_name("role/support-lead") == role_name("support-lead") == "support-lead"


def review(**changes: Any) -> Review:
    facts: dict[str, Any] = dict.fromkeys(Review.__dataclass_fields__)
    facts |= {"status": "open", "role": "support-lead", "escalate_to": ("finance-manager",), "started_by": "key/ci"}
    return Review(**(facts | changes))


def test_the_clock_alone_widens_who_may_decide() -> None:
    waiting = review(escalate_at=NOW)
    assert waiting.roles_at(NOW - timedelta(seconds=1)) == {"support-lead"}
    assert waiting.roles_at(NOW) == {"support-lead", "finance-manager"}
    assert review().roles_at(NOW) == {"support-lead"}


def test_the_clock_alone_expires() -> None:
    assert review(expire_at=NOW).status_at(NOW) == "expired"
    assert review(expire_at=NOW).status_at(NOW - timedelta(seconds=1)) == "open"
    assert review(expire_at=NOW, status="approved").status_at(NOW) == "approved"
    assert review().status_at(NOW) == "open"


def test_the_starter_is_known() -> None:
    assert review().own_run_of(Actor(ORG, "key", "ci"))
    assert not review().own_run_of(Actor(ORG, "user", "ci"))
