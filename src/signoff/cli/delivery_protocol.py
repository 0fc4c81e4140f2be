"""What commands ask of whoever delivers; answers are as the API gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from signoff.catalog import Project

Found = dict[str, Any]
"""One of the API's answers."""


class Deliverer(Protocol):
    """What commands ask of either."""

    def plan(self, project: str, environment: str, *, files: Project | None, release: str | None) -> Found:
        """What deploying a project's files, or a release, would change (`PlanOut`)."""
        ...

    def release(self, project: Project, message: str, *, dry_run: bool) -> Found:
        """Keep a project as a release (`ReleaseMade`)."""
        ...

    def environment(self, project: str, environment: str) -> Found:
        """Where an environment points (`EnvironmentOut`)."""
        ...

    def move(
        self,
        operation: str,
        project: str,
        environment: str,
        *,
        release: str | None,
        seen: int,
        reason: str,
        dry_run: bool,
        override_quality: str | None = None,
    ) -> Found:
        """Deploy or roll back (`EnvironmentMoved`)."""
        ...

    def history(self, project: str, environment: str, limit: int) -> list[Found]:
        """The moves of an environment (`MoveOut`), newest first."""
        ...

    def releases(self, project: str, limit: int) -> list[Found]:
        """The releases of a project (`ReleaseOut`), newest first."""
        ...

    def show_release(self, project: str, release: str) -> Found:
        """A release and what uses it (`ReleaseOut`)."""
        ...

    def delete_release(self, project: str, release: str) -> None:
        """Delete a release that nothing uses."""
        ...

    def prompts(self, project: str, limit: int) -> list[Found]:
        """The latest version of each prompt (`PromptVersionOut`)."""
        ...

    def prompt_versions(self, project: str, prompt: str, limit: int) -> list[Found]:
        """The versions of a prompt (`PromptVersionOut`), the highest first."""
        ...

    def prompt_source(self, project: str, prompt: str, version: str) -> Found:
        """One version with its file (`PromptVersionOut`)."""
        ...

    def add_score(self, project: str, prompt: str, version: str, score: Mapping[str, Any], key: str | None) -> Found:
        """Keep a score beside a version (`ScoreOut`)."""
        ...

    def labels(self, project: str, prompt: str) -> list[Found]:
        """Where the labels of a prompt point (`LabelOut`)."""
        ...

    def label(self, project: str, prompt: str, label: str) -> Found:
        """Where a label points (`LabelOut`); place 0 where there never was one."""
        ...

    def label_history(self, project: str, prompt: str, label: str, limit: int) -> list[Found]:
        """The moves of a label (`LabelOut`), newest first."""
        ...

    def move_label(
        self, project: str, prompt: str, label: str, *, version: str | None, seen: int, reason: str
    ) -> Found:
        """Point a label at a version, or nowhere (`LabelOut`)."""
        ...
