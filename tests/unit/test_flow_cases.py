"""The small workflows of docs/data-flow: each is sound, or found fault with in the way that its first line says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from signoff.capabilities.gateway.cheapest import budget_problems
from signoff.catalog.flow import project_flow
from signoff.catalog.projects import load_project, load_project_files
from signoff.core.errors import DefinitionError, Problem

CHECKOUT = Path(__file__).parents[2]
CASES = CHECKOUT / "docs/data-flow"
SHARED = {
    str(path.relative_to(CASES / "project")): path.read_bytes()
    for path in sorted((CASES / "project").rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts
}
FINDS = "# finds: "


def cases(kind: str) -> list[Path]:
    return sorted((CASES / kind).glob("*.yaml"))


def problems_of(case: Path) -> Sequence[Problem]:
    project = load_project_files({**SHARED, f"workflows/{case.name}": case.read_bytes()})
    return (*project_flow(project).problems, *budget_problems(project))


@pytest.mark.parametrize("case", cases("safe"), ids=lambda case: case.stem)
def test_a_safe_workflow_passes(case: Path) -> None:
    assert case.read_text("utf-8").startswith(f"{FINDS}nothing\n")
    assert problems_of(case) == ()


@pytest.mark.parametrize("case", cases("unsafe"), ids=lambda case: case.stem)
def test_an_unsafe_workflow_is_found_out_with_its_path_and_place(case: Path) -> None:
    code, step, *path = case.read_text("utf-8").splitlines()[0].removeprefix(FINDS).split(" ", 2)
    found = problems_of(case)
    assert {problem.code for problem in found} == {code}
    first = found[0]
    assert first.pointer == ("/attributes" if step == "-" else "/steps/" + step)
    assert (path[0] if path else "") in first.detail
    assert first.file == f"workflows/{case.name}"
    assert first.line is not None
    assert first.line > 1


def test_there_are_thirty_and_about_half_are_unsafe() -> None:
    assert len(cases("safe")) + len(cases("unsafe")) >= 30
    assert len(cases("safe")) >= 15
    assert len(cases("unsafe")) >= 15


def test_every_kind_of_finding_has_a_case() -> None:
    """But for `flow-python`, which is a warning: `test_steps_unproven` has what it is about."""
    page = (CHECKOUT / "docs/reference/data-flow.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `(flow-[a-z]+)` \| ", page, re.MULTILINE)) - {"flow-python"}
    firsts = (case.read_text("utf-8").splitlines()[0] for case in cases("unsafe"))
    assert {first.removeprefix(FINDS).split(" ")[0] for first in firsts} == listed


def test_the_page_lists_every_case() -> None:
    page = (CHECKOUT / "docs/reference/data-flow.md").read_text("utf-8")
    assert [case.stem for case in (*cases("safe"), *cases("unsafe")) if f"{case.stem}.yaml" not in page] == []


class TestTheRefundExample:
    FILES = CHECKOUT / "examples/refunds"

    def changed(self, tmp_path: Path, *changes: tuple[str, str, str]) -> Path:
        """The example with texts of its files replaced."""
        for part in ("signoff.yaml", "models.yaml", *(f"{n}/*" for n in ("workflows", "tools", "schemas", "rules"))):
            self.copy(tmp_path, part)
        for part in ("policies/*", "prompts/*", "knowledge/*/*"):
            self.copy(tmp_path, part)
        for file, old, new in changes:
            text = (tmp_path / file).read_text("utf-8")
            assert old in text
            (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")
        return tmp_path

    def copy(self, target: Path, pattern: str) -> None:
        for source in self.FILES.glob(pattern):
            if source.is_file() and source.suffix in (".yaml", ".json", ".cedar", ".md"):
                copied = target / source.relative_to(self.FILES)
                copied.parent.mkdir(parents=True, exist_ok=True)
                copied.write_bytes(source.read_bytes())

    def codes(self, project: Path) -> set[str]:
        with pytest.raises(DefinitionError) as refused:
            load_project(project)
        return {problem.code for problem in refused.value.problems}

    def test_it_passes_without_a_review_for_an_owned_order_and_a_confined_amount(self, tmp_path: Path) -> None:
        assert "support/refund" in load_project(self.changed(tmp_path)).workflows

    def test_it_does_not_for_a_mail_whose_sender_nobody_checked(self, tmp_path: Path) -> None:
        above = '"description": "From the signed-in session, never from the message."'
        trusted = f'{above},\n          "x-signoff": {{"trust": "trusted"'
        change = ("schemas/refund_request.json", trusted, trusted.replace('"trusted"', '"untrusted"'))
        assert self.codes(self.changed(tmp_path, change)) == {"flow-argument"}

    def test_an_amount_that_is_not_checked_is_refused(self, tmp_path: Path) -> None:
        check = "    assert: decision.cents > 0 && decision.cents <= order.refundable_cents\n"
        change = ("workflows/refund.yaml", check, "")
        rules = ("rules/refund-limits.yaml", "assert: cents <= 10000", "assert: cents >= 0")
        covered = ("rules/refund-limits.yaml", "assert: cents <= refundable_cents", "assert: refundable_cents >= 0")
        assert self.codes(self.changed(tmp_path, change, rules, covered)) == {"flow-review"}

    def test_what_a_rule_found_right_confines_where_nobody_has_to_look(self, tmp_path: Path) -> None:
        check = "    assert: decision.cents > 0 && decision.cents <= order.refundable_cents\n"
        load_project(self.changed(tmp_path, ("workflows/refund.yaml", check, "")))

    def test_without_a_quota_small_refunds_would_repeat(self, tmp_path: Path) -> None:
        contract = (self.FILES / "tools/payments.refund.yaml").read_text("utf-8")
        quota = next(line for line in contract.splitlines() if line.startswith("quota:"))
        assert self.codes(self.changed(tmp_path, ("tools/payments.refund.yaml", quota, ""))) == {"flow-quota"}

    def test_what_may_cause_it_is_said_by_the_contract(self, tmp_path: Path) -> None:
        change = ("tools/shop.close_ticket.yaml", "trigger: any", "trigger: trusted")
        assert self.codes(self.changed(tmp_path, change)) == {"flow-trigger"}
