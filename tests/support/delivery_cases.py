"""A project with a prompt and policies of deployment, and its way through the API."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import httpx
from support.api_cases import FILES

PROMPT = """---
name: support/classify
version: {version}
purpose: What a message wants.
task: classify
input:
  type: object
  properties: {{text: {{type: string, maxLength: 100}}}}
  required: [text]
labels: {{refund: Wants money back., other: Anything else.}}
owners: [role/owner]
data_class: {data_class}
{quality}---
# user
{text} {{{{ text }}}}
"""
POLICIES = """
@id("deliver")
permit (
  principal in Role::"deployer",
  action in [Action::"release.read", Action::"release.register", Action::"release.promote", Action::"release.delete",
    Action::"prompt.read", Action::"prompt.change", Action::"prompt.score",
    Action::"prompt.label", Action::"workflow.change"],
  resource
);
@id("four-eyes")
forbid (principal, action == Action::"release.promote", resource)
when { context.environment == "prod" && context.operation == "deploy" } unless { context.second_person };
@id("owners")
forbid (principal, action == Action::"prompt.change", resource)
when { context.data_class == 3 } unless { context.is_owner };
"""
QUALITY = "quality: {accuracy: 0.9}\n"
BASE = "/v1/projects/desk"


def files(
    version: str = "1.0.0", text: str = "Sort:", data_class: str = "internal", *, quality: str = ""
) -> dict[str, str]:
    prompt = PROMPT.format(version=version, text=text, data_class=data_class, quality=quality)
    manifest = FILES["signoff.yaml"] + "  deployer: Deploys.\n  owner: Owns.\n"
    models = "models: {local/minilm: {provider: minilm}}\nroutes: [{task: classify, use: [local/minilm]}]\n"
    return {
        **FILES,
        "signoff.yaml": manifest,
        "models.yaml": models,
        "prompts/classify.md": prompt,
        "policies/deliver.cedar": POLICIES,
    }


def encoded(given: Mapping[str, str]) -> dict[str, str]:
    return {path: base64.b64encode(text.encode()).decode() for path, text in given.items()}


async def released(client: httpx.AsyncClient, given: Mapping[str, str], message: str = "") -> str:
    response = await client.post(f"{BASE}/releases", json={"files": encoded(given), "message": message})
    assert response.status_code in (200, 201), response.text
    return response.json()["release"]


async def move(client: httpx.AsyncClient, environment: str, release: str, seen: int, **more: Any) -> httpx.Response:
    headers = {"If-Match": f'"{seen}"'} if seen else {"If-None-Match": "*"}
    body = {"release": release, "reason": "because", **more}
    return await client.post(f"{BASE}/environments/{environment}/deploy", json=body, headers=headers)
