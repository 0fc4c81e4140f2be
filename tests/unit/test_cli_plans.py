"""How plans are told: on a terminal, and as a comment on a pull request that a project's texts cannot break out of."""

from __future__ import annotations

from typing import Any

import pytest

from signoff.catalog.registry.differences import side_by_side
from signoff.cli.delivery_views import print_plan
from signoff.cli.plan_markdown import MAX_CHARACTERS, plan_markdown
from signoff.cli.prompt_views import print_difference

COST = {"min_micro_usd": 0, "expected_micro_usd": 100, "max_micro_usd": 700}


def change(kind: str, name: str, action: str, *details: str, bump: str = "") -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "action": action,
        "before": "",
        "after": "",
        "bump": bump,
        "details": list(details),
    }


def plan(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "project": "shop",
        "environment": "prod",
        "version": 3,
        "before": "a" * 64,
        "after": "b" * 64,
        "changed": True,
        "changes": list(changes),
        "flows": [],
        "costs": [],
        "quality": [],
        "problems": [],
        "warnings": [],
    } | more


def test_a_plan_ends_with_what_it_comes_to(capsys: pytest.CaptureFixture[str]) -> None:
    flows = [{"workflow": "new", "place": "pay.with.cents", "before": "", "after": "trusted, public"}]
    costs = [{"workflow": name, "before": None, "after": COST} for name in ("new", "old")]
    made = plan(
        change("workflow", "new", "added"), change("prompt", "p", "changed", bump="major"), flows=flows, costs=costs
    )
    print_plan(made, deploy="signoff deploy prod --expect 3 -m WHY")
    told = capsys.readouterr().out
    assert "+ new: 1 places; signoff explain flow STEP.FIELD -w new says each" in told
    assert "pay.with.cents" not in told  # of a workflow that was not there, everything is new
    assert "$ new: not there → " in told
    assert "$ old: unknown → " in told
    assert "Plan: 1 to add, 1 to change, 0 to remove. 1 contract breaks." in told
    assert told.rstrip().endswith("To deploy exactly this: signoff deploy prod --expect 3 -m WHY")
    print_plan({**made, "problems": [{"detail": "No."}]}, deploy="signoff deploy prod")
    told = capsys.readouterr().out
    assert ("It would be refused" in told, "To deploy" in told) == (True, False)


def test_lines_of_files_stand_in_a_fence_that_they_cannot_end() -> None:
    made = plan(change("file", "a.py", "changed", "-x", "+````", "+@everyone <b>"))
    assert "`````diff\n-x\n+````\n+@everyone <b>\n`````" in plan_markdown(made)


def test_texts_of_a_project_are_no_markup() -> None:
    flow = {"workflow": "w", "place": "a\n| b | <b>", "before": "x", "after": "@ana"}
    told = plan_markdown(
        plan(change("workflow", "w`|x", "changed", "about was <script>, is @bob\n# head"), flows=[flow])
    )
    assert "| changed | workflow w\\`\\|x |" in told
    assert "- about was \\<script\\>, is @\u200bbob \\# head" in told
    assert "- w a \\| b \\| \\<b\\>\n  - was: x\n  - is: @\u200bana" in told


def test_a_long_plan_is_cut_where_nothing_is_left_open() -> None:
    lines = [f"+{at} {'x' * 100}" for at in range(2 * MAX_CHARACTERS // 100)]
    told = plan_markdown(
        plan(change("file", "a.py", "changed", *lines), costs=[{"workflow": "w", "before": COST, "after": COST}])
    )
    assert len(told) < MAX_CHARACTERS + 100
    assert told.endswith("x\n```\n\n</details>\n\n… cut off; see `signoff plan`.")
    assert "| model calls of one run |" in told


def test_what_differs_between_two_prompts_shows_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = side_by_side("same\nold\ngone\n", "same\nnew\n") + side_by_side("", "more\n")
    print_difference("p@1.0.0", "p@1.0.1", changes=(), bump="patch", pairs=pairs, context=3)
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["1", "same", "1", "same"] in told
    assert ["~", "2", "old", "2", "new"] in told
    assert ["-", "3", "gone"] in told
    assert ["+", "1", "more"] in told
