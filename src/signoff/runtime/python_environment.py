"""The packages that workflows in Python run with: those of the worker, held against what their project asks for.

A project that asks for packages (`python: {requires: [...]}` in signoff.yaml) has its runs go on only where they are
installed, in the versions that the run began with: others may compute something else, and a replay must not. A worker
that has others gives the run back, and says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement

from signoff.core.errors import ConflictError
from signoff.core.ids import digest

DIGEST_CHARS = 16


class EnvironmentMissingError(ConflictError):
    """This worker has not the packages that a run needs. Another one may go on with it."""

    code = "environment-missing"
    title = "No worker here has the packages that the run needs"


def check_environment(requires: tuple[str, ...], commands: Iterable[Mapping[str, Any]]) -> str | None:
    """The digest of Python and the required packages as they are here; none where nothing is required.

    Args:
        requires: what the project asks for.
        commands: what the run's journal says of the steps that it began, each perhaps with an `environment`.

    Raises:
        EnvironmentMissingError: a package is missing, or of another version than required or than the run began with.
    """
    if not requires:
        return None
    versions, missing = _installed(requires)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    here = f"Python {python} with {', '.join(f'{name} {version}' for name, version in versions) or 'none of them'}"
    if missing:
        raise EnvironmentMissingError(
            f"the project requires {', '.join(missing)}, and this worker has {here}; start a worker that has them"
        )
    own = digest(f"{python} {versions}".encode())[:DIGEST_CHARS]
    for command in commands:
        began = command.get("environment", own)
        if began != own:
            raise EnvironmentMissingError(
                f"the run began with other versions of {', '.join(requires)} (environment {began}), and this worker has"
                f" {here} (environment {own}); start a worker with those, or move the run to a release"
            )
    return own


@lru_cache(maxsize=64)
def _installed(requires: tuple[str, ...]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Name and version of what is installed, and what is required and is not."""
    versions: list[tuple[str, str]] = []
    missing: list[str] = []
    for text in requires:
        requirement = Requirement(text)
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(text)
            continue
        versions.append((requirement.name, version))
        if not requirement.specifier.contains(version, prereleases=True):
            missing.append(text)
    return tuple(sorted(versions)), tuple(missing)
