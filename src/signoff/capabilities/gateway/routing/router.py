"""A request's route: which models may answer it, in what order, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from signoff.capabilities.gateway.asking import Asked, Considered
from signoff.capabilities.gateway.bounds import BOUNDING
from signoff.capabilities.gateway.connected import Providers
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.model import MAX_CANDIDATES, Decide, GatewayError
from signoff.capabilities.gateway.model_facts import facts_of
from signoff.capabilities.gateway.resilience.guarding import Guard
from signoff.capabilities.gateway.routing.model import Candidate, Needs, Routed
from signoff.capabilities.gateway.routing.past import Known
from signoff.capabilities.gateway.routing.permits import permitted
from signoff.capabilities.gateway.routing.ranking import Standing, ranked, share, why
from signoff.capabilities.gateway.routing.requirements import cost_of, joined, lacking
from signoff.capabilities.gateway.tuning import parameters, untunable
from signoff.catalog.models import ModelsConfig, ModelSpec, Route

LEFT_OUT = "left_out"
"""Of a considered model's reasons: what of a request's tuning it has no place for, and was asked without."""
BOUNDS = "bounds"
"""Likewise: what of its permit bounds its answer."""


class Router:
    """Finds who may answer.

    Args:
        providers: the configured models.
        guard: knows how models have been doing, and which are left alone.
        chance: a random number from 0 to 1, for draws by weight of calls that no key binds.
        profile: the profile of `models.yaml` to use.
        known: what the records know of models.
    """

    def __init__(
        self, providers: Providers, guard: Guard, *, chance: Callable[[], float], profile: str | None, known: Known
    ) -> None:
        self._known = known
        self._providers = providers
        self._guard = guard
        self._chance = chance
        self._profile = profile

    async def routed(self, asked: Asked, config: ModelsConfig, decide: Decide, needs: Needs) -> Routed:
        """Every model of the request's route, judged and ranked.

        Policy is asked of each model first, so that what excludes a model is told truly; then what the route and the
        request need is held against what is known of it; then whether it is left alone for its failures.

        Raises:
            GatewayError: kind `model_unavailable`, reason `no_route`: nothing is named so, or is for the task.
        """
        route = self.route(asked.task, asked.prompt, config, named=asked.model)
        await self._guard.fresh()
        key = asked.sticky or (repr(self._chance()) if route.canary or route.weights else "")
        used, failures = _in_use(route, key)
        found_good: Mapping[str, float] = await self._known.of(asked) if len(used) > 1 else {}
        candidates: dict[str, Candidate] = {}
        for name in used:
            try:
                candidates[name] = await self._candidate(config.models[name], route, asked, decide, needs)
            except CallFailed as failed:
                failures.append(failed.failure)
        standings = [self._standing(one, asked, needs, found_good) for one in candidates.values()]
        latency_s = min((s for s in (asked.latency_s, route.latency_s) if s is not None), default=None)
        order = ranked(standings, route, risk=asked.risk, latency_s=latency_s, key=key)
        trial = "" if route.canary is None else route.canary.model
        # On trial means asked first, once drawn: a canary that waits behind others is never heard.
        order.sort(key=lambda one: one.failing or one.model != trial)
        considered = [
            Considered(one.model, rank=at + 1, why={**why(one, route), **_less(candidates[one.model])})
            for at, one in enumerate(order)
        ]
        considered += [Considered(failure.model, failure.detail, failure.policies) for failure in failures]
        ordered = tuple(candidates[one.model] for one in order[:MAX_CANDIDATES])
        return Routed(ordered, tuple(considered), tuple(failures))

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

    async def _candidate(self, spec: ModelSpec, route: Route, asked: Asked, decide: Decide, needs: Needs) -> Candidate:
        candidate = await permitted(spec, self._providers, asked.task, asked.prompt, decide)
        facts = facts_of(spec)
        lacks = lacking(spec, facts, joined(needs.requires, route.requires), route, asked)
        if lacks is not None:
            raise CallFailed(lacks)
        missing = untunable(candidate.provider, needs.tunings)
        if missing and not needs.optional:
            detail = f"{candidate.provider.name} has no {', '.join(f'`{name}`' for name in parameters(missing))}."
            raise CallFailed(Failure(spec.name, "cannot", detail))
        held = self._guard.held(asked.caller.org_id, spec.name)
        if held is not None:
            raise CallFailed(held)
        return Candidate(spec, candidate.provider, candidate.obligations, facts.context_tokens, missing)

    def _standing(self, candidate: Candidate, asked: Asked, needs: Needs, found_good: Mapping[str, float]) -> Standing:
        spec = candidate.spec
        # What this prompt's evaluations found says more than what the project says of all prompts of the task.
        quality = found_good.get(spec.name, facts_of(spec).quality.get(asked.task))
        measured = self._guard.health.of((asked.caller.org_id, spec.name))
        return Standing(spec.name, cost_of(candidate, needs), measured, quality)


def _less(candidate: Candidate) -> dict[str, str]:
    """What a model is asked without, and what its permit bounds its answer to, for explanations."""
    less = {LEFT_OUT: ", ".join(parameters(candidate.left_out))} if candidate.left_out else {}
    bounds = [f'@{duty.kind}("{duty.value}")' for duty in candidate.obligations if duty.kind in BOUNDING]
    return {**less, BOUNDS: " ".join(bounds)} if bounds else less


def _in_use(route: Route, key: str) -> tuple[list[str], list[Failure]]:
    """The models of a route that this call may use, and why it may not use the others."""
    failures: list[Failure] = []
    used = list(route.use)
    if route.canary is not None:
        if not route.pin and share(key, "canary") < route.canary.share:
            used.append(route.canary.model)
        else:
            detail = f"It is on trial with {route.canary.share:.3g} of the calls, and this is none of them."
            failures.append(Failure(route.canary.model, "not_drawn", detail))
    if route.pin:
        failures += [
            Failure(name, "not_drawn", f"The route is pinned to {route.pin}.") for name in used if name != route.pin
        ]
        used = [route.pin]
    return used, failures
