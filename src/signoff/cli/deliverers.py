"""Two ways to bring releases to environments: through a server's API, with a key; or on the database, as its operator.

Both give what the API answers, so that commands need not know which one it is.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signoff.cli.client import ApiClient, connect
from signoff.cli.delivery_protocol import Deliverer, Found
from signoff.core.errors import NotFoundError

if TYPE_CHECKING:
    from signoff.catalog import Project


def deliverer(project: Path | None, url: str | None, key: str | None, *, models: str | None = None) -> Deliverer:
    """Through the API where a server is named (`--url`, `SIGNOFF_URL`), else on the project's database."""
    if url or os.environ.get("SIGNOFF_URL"):
        return ThroughApi(connect(url, key, project))
    from signoff.cli.deliverers_local import OnDatabase

    return OnDatabase(project, models)


def version_of(through: Deliverer, project: str, prompt: str, text: str) -> str:
    """The version that somebody means: a version, or the label that is at one.

    Raises:
        NotFoundError: the label is at none.
    """
    if text[:1].isdigit():
        return text
    found = through.label(project, prompt, text)["version"]
    if found is None:
        known = ", ".join(one["label"] for one in through.labels(project, prompt)) or "none"
        raise NotFoundError(f"Prompt '{prompt}' has no label '{text}'. It has: {known}.")
    return str(found)


class ThroughApi:
    """With an API key; policies decide."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def plan(self, project: str, environment: str, *, files: Project | None, release: str | None) -> Found:
        body = {"files": _encoded(files)} if files is not None else {"release": release}
        return self._client.post(f"/v1/projects/{project}/environments/{environment}/plan", body)

    def release(self, project: Project, message: str, *, dry_run: bool) -> Found:
        body = {"files": _encoded(project), "message": message, "dry_run": dry_run}
        return self._client.post(f"/v1/projects/{project.name}/releases", body)

    def environment(self, project: str, environment: str) -> Found:
        return self._client.get(f"/v1/projects/{project}/environments/{environment}")

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
        body: Found = {"reason": reason, "dry_run": dry_run}
        if override_quality is not None:
            body["override_quality"] = override_quality
        if release is not None:
            body["release"] = release
        headers = {"If-Match": f'"{seen}"'} if seen else {"If-None-Match": "*"}
        return self._client.post(f"/v1/projects/{project}/environments/{environment}/{operation}", body, headers)

    def history(self, project: str, environment: str, limit: int) -> list[Found]:
        return list(self._client.pages(f"/v1/projects/{project}/environments/{environment}/history", most=limit))

    def releases(self, project: str, limit: int) -> list[Found]:
        return list(self._client.pages(f"/v1/projects/{project}/releases", most=limit))

    def show_release(self, project: str, release: str) -> Found:
        return self._client.get(f"/v1/projects/{project}/releases/{release}")

    def delete_release(self, project: str, release: str) -> None:
        self._client.delete(f"/v1/projects/{project}/releases/{release}")

    def prompts(self, project: str, limit: int) -> list[Found]:
        return list(self._client.pages(f"/v1/projects/{project}/prompts", most=limit))

    def prompt_versions(self, project: str, prompt: str, limit: int) -> list[Found]:
        return list(self._client.pages(f"/v1/projects/{project}/prompts/{prompt}/versions", most=limit))

    def prompt_source(self, project: str, prompt: str, version: str) -> Found:
        return self._client.get(f"/v1/projects/{project}/prompts/{prompt}/versions/{version}")

    def add_score(self, project: str, prompt: str, version: str, score: Mapping[str, Any], key: str | None) -> Found:
        headers = {} if key is None else {"Idempotency-Key": key}
        path = f"/v1/projects/{project}/prompts/{prompt}/versions/{version}/scores"
        return self._client.post(path, score, headers)

    def labels(self, project: str, prompt: str) -> list[Found]:
        return self._client.get(f"/v1/projects/{project}/prompts/{prompt}/labels")["items"]

    def label(self, project: str, prompt: str, label: str) -> Found:
        return self._client.get(f"/v1/projects/{project}/prompts/{prompt}/labels/{label}")

    def label_history(self, project: str, prompt: str, label: str, limit: int) -> list[Found]:
        path = f"/v1/projects/{project}/prompts/{prompt}/labels/{label}/history"
        return list(self._client.pages(path, most=limit))

    def move_label(
        self, project: str, prompt: str, label: str, *, version: str | None, seen: int, reason: str
    ) -> Found:
        headers = {"If-Match": f'"{seen}"'} if seen else {"If-None-Match": "*"}
        path = f"/v1/projects/{project}/prompts/{prompt}/labels/{label}"
        return self._client.put(path, {"version": version, "reason": reason}, headers)


def _encoded(project: Project) -> dict[str, str]:
    return {path: base64.b64encode(content).decode() for path, content in project.files.items()}
