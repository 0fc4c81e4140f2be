"""What the gateway's tests share: a task, a project of scripted models, policies that say yes or no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from signoff.capabilities.gateway import Gateway, ModelTask
from signoff.capabilities.gateway.protection import Protector
from signoff.catalog.models import ModelsConfig, ModelSpec, Route
from signoff.catalog.prompts import PromptMessage
from signoff.governance.policy import Obligation
from signoff.testing import ScriptedProvider

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "label": {"enum": ["refund", "other"], "x-signoff": {"trust": "untrusted"}},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["label", "confidence"],
    "additionalProperties": False,
}
GOOD = {"label": "refund", "confidence": 0.9}
TASK = ModelTask(
    task="classify",
    prompt="classify",
    messages=(PromptMessage("system", "Sort the message."), PromptMessage("user", "I want my money back.")),
    output_schema=SCHEMA,
    variables={"text": "I want my money back."},
    labels={"refund": "the customer wants money back", "other": "anything else"},
    max_output_tokens=50,
    timeout_s=5.0,
)


def task(**changes: Any) -> ModelTask:
    """The usual task with some members changed."""
    return replace(TASK, **changes)


@dataclass(frozen=True)
class Answered:
    """A decision as the gateway sees it."""

    permit: bool
    policies: tuple[str, ...] = ("test",)
    obligations: tuple[Obligation, ...] = ()


def permit_all(model: str, attributes: Mapping[str, Any], /) -> Answered:
    return Answered(permit=True)


def forbid(*models: str):
    """A policy that forbids these models and permits the rest."""

    def decide(model: str, attributes: Mapping[str, Any], /) -> Answered:
        return Answered(model not in models, (f"no-{model}",))

    return decide


def project(*, protector: Protector | None = None, **models: ScriptedProvider) -> tuple[Gateway, ModelsConfig]:
    """A gateway and a project whose models, in fallback order, are scripted."""
    specs = {name: ModelSpec(name, name, {"model": name}) for name in models}
    factories = {name: provider.factory for name, provider in models.items()}
    return Gateway(factories, environment={}, protector=protector), ModelsConfig(specs, (Route(tuple(models)),))
