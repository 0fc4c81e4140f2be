"""Which failures of a tool speak for every call with the same key."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from signoff.capabilities.tools.failures import bad_arguments, failed_status, misconfigured
from signoff.catalog.tools import HttpCall, ToolContract, ToolFailure

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ANY = {"type": "object"}


def write(**errors: ToolFailure) -> ToolContract:
    declared = {name.removeprefix("s"): failure for name, failure in errors.items()}
    return ToolContract(
        "shop.pay", "", HttpCall("POST", "https://shop.invalid"), ANY, ANY, effect=True, errors=declared
    )


@pytest.mark.parametrize(
    ("status", "failure", "declared"),
    [
        (409, ToolFailure("closed"), True),
        (422, ToolFailure("too_late"), True),
        (409, None, False),
        (409, ToolFailure("closed", outcome_unknown=True), False),
        (401, ToolFailure("no_access"), False),
        (403, ToolFailure("no_access"), False),
        (429, ToolFailure("busy"), False),
        (500, ToolFailure("down"), False),
        (501, ToolFailure("unknown_method"), False),
    ],
)
def test_only_a_final_refusal_that_the_contract_declares_is_declared(
    status: int, failure: ToolFailure | None, declared: bool
) -> None:
    contract = write() if failure is None else write(**{f"s{status}": failure})
    assert failed_status(contract, status, None, NOW).declared is declared


def test_what_was_never_sent_is_no_declared_refusal() -> None:
    assert not misconfigured(write(), "a secret is missing").declared
    assert not bad_arguments(write(), "they break the schema").declared
