"""Where a call of the served gateway belongs: its project, environment and release, who asks, and with which labels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, cast

from signoff.api.compatible.headers import flag, labels_of, latency_s, risk_of, word
from signoff.api.services import Services
from signoff.capabilities.gateway.asking import Asked, Caller
from signoff.capabilities.gateway.model import Decide
from signoff.catalog.authority import Authority, PolicyBook
from signoff.catalog.model import Release
from signoff.catalog.models import ModelsConfig
from signoff.core.actors import Actor
from signoff.core.errors import NotFoundError, did_you_mean
from signoff.core.labels import Labels
from signoff.core.values import value
from signoff.governance.identity.model import read_key_text
from signoff.governance.policy.served_requests import direct_model_request, gateway_request, team_request
from signoff.workflows.model import Risk

MAX_TRACE_CHARACTERS = 100
"""A `traceparent` has 55; one that is none is passed over."""
KNOWN_CALLS = 1_024
"""Of how many calls, by caller, model and headers, it is kept what they ask and that they may."""
MAX_KNOWN_CHARACTERS = 500
"""Calls whose headers say more are not kept."""
_SAYING = ("data-class", "residency", "risk", "latency", "region", "continues", "cache", "team")
"""Headers, behind `signoff-`, that say what is the same for many calls."""
_NAMES = tuple(f"signoff-{name}" for name in _SAYING)
KnownCalls = OrderedDict[tuple[Any, ...], Asked]
MAX_BOOKS = 32
"""Of how many environments the policies are kept prepared."""


class Places:
    """Finds the release and the policies of a call.

    Args:
        services: the application's.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._books: OrderedDict[str, PolicyBook] = OrderedDict({services.environment: services.policies})
        self._asked: KnownCalls = OrderedDict()

    async def find(self, actor: Actor, project: str | None, environment: str | None) -> Place:
        """The place that a base URL names; the server's own where it names none.

        Raises:
            NotFoundError: nothing is deployed there, or it is not said which of several projects is meant.
        """
        book = self._book(environment or self._services.environment)
        deployed = await book.deployed(actor.org_id)
        name = project or self._services.project
        if name is None:
            if len(deployed) != 1:
                there = f"several projects ({', '.join(sorted(deployed))})" if deployed else "no project"
                raise NotFoundError(
                    f"Environment '{book.environment}' has {there}: name one in the base URL, such as"
                    f" /projects/PROJECT/environments/{book.environment}/v1."
                )
            name = next(iter(deployed))
        digest = deployed.get(name)
        if digest is None:
            raise NotFoundError(f"Nothing of a project '{name[:80]}' is deployed in '{book.environment[:80]}'.")
        release = await self._services.releases.load(actor.org_id, digest)
        authority = await book.authority(actor.org_id, release, today=digest)
        return Place(actor, name, book.environment, release, authority, self._asked)

    def _book(self, environment: str) -> PolicyBook:
        book = self._books.get(environment)
        if book is None:
            known = self._services
            book = PolicyBook(known.database, known.releases, clock=known.clock, environment=environment)
            self._books[environment] = book
            if len(self._books) > MAX_BOOKS:
                # The server's own is the first, and stays.
                own = known.environment
                self._books.pop(next(name for name in self._books if name != own))
        return book


@value
class Place:
    """Who asks, of which release, and who decides."""

    actor: Actor
    project: str
    environment: str
    release: Release
    authority: Authority
    known: KnownCalls = field(default_factory=OrderedDict[tuple[Any, ...], Asked], compare=False, repr=False)

    @property
    def config(self) -> ModelsConfig:
        """The release's models and routes."""
        return self.release.project.models

    def names(self) -> list[str]:
        """Every model and every named route."""
        routes = [route.name for route in self.config.routes if route.name]
        return sorted({*self.config.models, *routes})

    def asked(self, headers: Mapping[str, str], *, model: str, task: str) -> Asked:
        """The call as the gateway takes it, permitted to the caller at all.

        Raises:
            RequestError: a header is wrong.
            ForbiddenError: no policy permits `gateway.use`, or `gateway.team` for a team that is not the key's.
            NotFoundError: there is no such model or route.
        """
        # A release's policies never change, so what they permitted once they permit again.
        said = tuple([headers.get(name) for name in _NAMES])
        key = (self.release.digest, self.project, self.environment, self.actor, key_of(headers), model, task, said)
        found = self.known.get(key)
        if found is None:
            found = self._permitted(headers, model, task)
            if sum(len(one) for one in said if one) <= MAX_KNOWN_CHARACTERS:
                self.known[key] = found
            if len(self.known) > KNOWN_CALLS:
                self.known.popitem(last=False)
        sticky, trace = word(headers, "signoff-sticky"), headers.get("traceparent", "")[:MAX_TRACE_CHARACTERS]
        return replace(found, sticky=sticky, trace=trace) if sticky or trace else found

    def _permitted(self, headers: Mapping[str, str], model: str, task: str) -> Asked:
        """What every such call asks."""
        labels, risk = labels_of(headers, self.config.served), risk_of(headers, self.config.served)
        team = self._team(headers, task, labels, risk)
        self.authority.decide(self._use(model, task, labels, risk, team)).require()
        route = self.config.route_named(model)
        if route is None:
            near = did_you_mean(model, self.names()) or "GET /v1/models lists what you may use."
            raise NotFoundError(
                f"models.yaml has neither a model nor a route '{model[:80]}'. {near}", vendor_code="model_not_found"
            )
        return Asked(
            caller=Caller(
                org_id=self.actor.org_id,
                project=self.project,
                environment=self.environment,
                release=self.release.digest,
                principal=str(self.actor),
                team=team,
                key=key_of(headers),
            ),
            model=model,
            task=task,
            data_labels=labels,
            risk=risk,
            latency_s=latency_s(headers),
            region=word(headers, "signoff-region"),
            continues=flag(headers, "signoff-continues"),
            cached=flag(headers, "signoff-cache") if "signoff-cache" in headers else route.cache,
        )

    def may_use(self, model: str) -> bool:
        """Whether a list shows it: for a call whose headers say nothing."""
        least = self.config.served
        labels = labels_of({}, least)
        return self.authority.decide(self._use(model, "chat", labels, least.risk, self.actor.team)).permit

    def decide(self, asked: Asked) -> Decide:
        """Policy's answer on each candidate of a call."""

        def decided(model: str, attributes: Mapping[str, Any], /) -> Any:
            request = direct_model_request(
                self.actor,
                model=model,
                provider=attributes["provider"],
                task=attributes["task"],
                labels=asked.data_labels,
                local=attributes["local"],
                region=attributes["region"],
                injection=attributes.get("injection", 0),
                risk=cast("Risk", asked.risk),
                environment=self.environment,
            )
            return self.authority.decide(request)

        return decided

    def _team(self, headers: Mapping[str, str], task: str, labels: Labels, risk: Risk) -> str:
        """Whom the call counts for: the key's team, or one that policy lets this caller name instead."""
        own, said = self.actor.team, word(headers, "signoff-team")
        if not said or said == own:
            return own
        request = team_request(self.actor, team=said, task=task, labels=labels, risk=risk, environment=self.environment)
        self.authority.decide(request).require()
        return said

    def _use(self, model: str, task: str, labels: Labels, risk: Risk, team: str) -> Any:
        return gateway_request(
            self.actor, model=model, task=task, labels=labels, risk=risk, team=team, environment=self.environment
        )


def key_text_of(headers: Mapping[str, str]) -> str:
    """The API key that a request shows, as OpenAI's SDK sends it or as Anthropic's does; empty for none."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text:
        return text.strip()
    return headers.get("x-api-key", "").strip()


def key_of(headers: Mapping[str, str]) -> str | None:
    """The id of the API key that a request shows; it is no secret."""
    parts = read_key_text(key_text_of(headers))
    return parts[0] if parts else None
