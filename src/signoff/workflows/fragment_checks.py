"""Checks each fragment once, where it stands, whoever uses it."""

from __future__ import annotations

from dataclasses import replace

from signoff.core.errors import Problem
from signoff.workflows.fragments import Fragment
from signoff.workflows.model import Contracts
from signoff.workflows.report import Report
from signoff.workflows.scopes import Shared
from signoff.workflows.steps import StepCompiler
from signoff.workflows.uses import FragmentBody


def check_fragments(contracts: Contracts, problems: list[Problem]) -> Contracts:
    """The contracts with every fragment checked; one that has problems is marked as broken.

    Args:
        contracts: what fragments may name, themselves included.
        problems: gets everything that is wrong.
    """
    found: dict[str, Fragment] = dict(contracts.fragments)
    known = replace(contracts, fragments=found)
    for name, fragment in contracts.fragments.items():
        if fragment.broken is not None:
            continue
        report = Report(fragment.file)
        body = FragmentBody(Shared(known, report, inside=fragment.file), fragment, StepCompiler.alone, 1)
        body.compile()
        if report:
            problems += report.problems
            found[name] = replace(fragment, broken=report.problems[0])
    return known
