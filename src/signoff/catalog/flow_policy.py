"""Policy against data flow: steps that no policy could ever permit, data that policy keeps from where it would go."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.catalog.model import Project
from signoff.workflows.flow import Finding, FlowResult


def check_policies(project: Project, result: FlowResult) -> Iterator[Finding]:
    """What a project's policies make impossible."""
    del project, result
    yield from ()
