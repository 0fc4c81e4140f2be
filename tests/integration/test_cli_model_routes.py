"""`signoff models route --dry-run`: who would answer, by the project's own policies, and who would not, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.cli_cases import signoff

from signoff.testing.stub_vendor import StubVendor

REFUNDS = Path(__file__).parents[2] / "examples" / "refunds"


def asked(*arguments: str, **variables: str) -> list[dict[str, Any]]:
    result = signoff("models", "route", *arguments, "--dry-run", "--json", cwd=REFUNDS, variables=variables)
    assert result.code == 0, result
    return json.loads(result.out)


def test_it_says_who_would_answer_and_calls_nobody() -> None:
    with StubVendor([]) as vendor:
        told = asked(
            *("--task", "extract", "--models", "compatible", "--labels", "class=internal"),
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=f"{vendor.base_url}/v1",
            OPENAI_MODEL="m",
        )
        assert not vendor.heard
    assert [(item["model"], item["rank"]) for item in told] == [("compatible/main", 1), ("local/fields", 2)]


def test_it_says_who_would_not_and_why() -> None:
    told = asked("--task", "extract", "--models", "openai", "--labels", "class=confidential", OPENAI_API_KEY="k")
    assert told[0]["model"] == "local/fields"
    assert told[1]["rank"] is None
    assert "Policy forbids it" in told[1]["excluded"]


def test_mistakes_are_told() -> None:
    for arguments, code, words in (
        (("--task", "chat", "--dry-run"), 1, "No route of models.yaml is for the task 'chat'"),
        (("--labels", "colour=red", "--dry-run"), 1, "is no label"),
        (("--task", "classify"), 2, "--dry-run"),
    ):
        result = signoff("models", "route", *arguments, cwd=REFUNDS)
        assert result.code == code, result
        assert words in result.err
