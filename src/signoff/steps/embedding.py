"""Vectors from the gateway, as retrieval wants them: capabilities do not know each other, steps bind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from signoff.capabilities.gateway import Attempt, Gateway
from signoff.catalog import ModelsConfig
from signoff.core.errors import StepError
from signoff.governance.policy import Decision, model_request
from signoff.runtime.handlers import StepCall
from signoff.steps.limited import asked_of
from signoff.steps.services import Services, decided


class GatewayEmbedder:
    """Embeds queries of a run, under its policies, and journals that it did."""

    def __init__(
        self, gateway: Gateway, config: ModelsConfig, *, call: StepCall, services: Services, over_limit: bool = False
    ) -> None:
        self._gateway = gateway
        self._config = config
        self._call = call
        self._services = services
        self._over_limit = over_limit

    async def embed_query(self, query: str, indexed_with: str) -> Sequence[float] | None:
        """The query's vector, or none where today's model is not the one that the index was made with.

        Raises:
            StepError: no permitted model answered.
        """
        call = self._call
        authority = await self._services.authority(call)

        def decide(model: str, attributes: Mapping[str, Any], /) -> Decision:
            request = model_request(
                call.run,
                model=model,
                provider=attributes["provider"],
                task="embed",
                prompt="",
                prompt_version="",
                labels=call.labels,
                local=attributes["local"],
                region=attributes["region"],
                environment=self._services.environment,
            )
            return decided(call, authority, request)

        def observe(attempt: Attempt) -> None:
            # One that answered is recorded below, where it is known whether its vectors are of any use.
            if attempt.outcome != "ok":
                call.record("model.call", {**attempt.as_dict(), "task": "embed"})

        result = await self._gateway.embed(
            [query],
            self._config,
            decide=decide,
            budget=self._services.budgets.of(call),
            timeout_s=call.timeout_s,
            observe=observe,
            asked=asked_of(call, self._services, task="embed", over_limit=self._over_limit),
        )
        outcome = "ok" if result.model == indexed_with else "other_model"
        call.record(
            "model.call",
            {"model": result.model, "task": "embed", "outcome": outcome, "usage": result.usage.as_dict()},
        )
        return result.vectors[0] if outcome == "ok" else None


class IndexEmbedder:
    """Embeds a release's own documents when its indexes are built: the project's data, before any run."""

    def __init__(self, gateway: Gateway, config: ModelsConfig, name: str) -> None:
        self._gateway = gateway
        self._config = config
        self.name = name

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One vector per text.

        Raises:
            StepError: no model answered, or another than the first of the route.
        """
        result = await self._gateway.embed(texts, self._config, decide=_permit_local)
        if result.model != self.name:
            raise StepError(f"'{result.model}' answered instead of '{self.name}'; an index has one model", kind="embed")
        return result.vectors


def _permit_local(model: str, attributes: Mapping[str, Any], /) -> Decision:
    """An index is built by whoever deploys, from files of the release, on models of this deployment only."""
    permit = bool(attributes["local"])
    about = f'model.call on Model::"{model}" to build an index'
    return Decision(
        permit=permit, policies=("local-indexing",) if permit else (), obligations=(), policy_digest="", about=about
    )
