"""A request's route: which models may answer it, in what order, and why."""

from __future__ import annotations

from signoff.capabilities.gateway.asking import Asked, Considered
from signoff.capabilities.gateway.calls import CallFailed, Failure
from signoff.capabilities.gateway.connected import Providers
from signoff.capabilities.gateway.model import MAX_CANDIDATES, Decide, GatewayError
from signoff.capabilities.gateway.routing.model import Candidate, Routed
from signoff.capabilities.gateway.routing.permits import permitted
from signoff.catalog.models import ModelsConfig, ModelSpec, Route


class Router:
    """Finds who may answer.

    Args:
        providers: the configured models.
        profile: the profile of `models.yaml` to use.
    """

    def __init__(self, providers: Providers, *, profile: str | None) -> None:
        self._providers = providers
        self._profile = profile

    async def routed(self, asked: Asked, config: ModelsConfig, decide: Decide) -> Routed:
        """Every model of the request's route, judged.

        Raises:
            GatewayError: kind `model_unavailable`, reason `no_route`: nothing is named so, or is for the task.
        """
        route = self.route(asked.task, asked.prompt, config, named=asked.model)
        candidates: list[Candidate] = []
        considered: list[Considered] = []
        failures: list[Failure] = []
        for spec in self.specs(route, config):
            try:
                candidates.append(await permitted(spec, self._providers, asked.task, asked.prompt, decide))
                considered.append(Considered(spec.name, rank=len(candidates)))
            except CallFailed as failed:
                failures.append(failed.failure)
                considered.append(Considered(spec.name, failed.failure.detail, failed.failure.policies))
        return Routed(tuple(candidates), tuple(considered), tuple(failures))

    def route(self, task: str, prompt: str | None, config: ModelsConfig, *, named: str = "") -> Route:
        """The route of a request.

        Raises:
            GatewayError: as `routed`.
        """
        if named:
            found = config.route_named(named, profile=self._profile)
            wrong = f"models.yaml has neither a model nor a route '{named}'."
        else:
            found = config.route_for(task, prompt, profile=self._profile)
            wrong = f"No route of models.yaml is for the task '{task}': add `- {{task: {task}, use: […]}}`."
        if found is None or not found.use:
            raise GatewayError(wrong, kind="model_unavailable", reason="no_route")
        return found

    def specs(self, route: Route, config: ModelsConfig) -> tuple[ModelSpec, ...]:
        """The models of a route as they are listed."""
        return tuple(config.models[name] for name in route.use[:MAX_CANDIDATES])
