"""Where a call of the served gateway belongs: its project, environment and release, who asks, and with which labels."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from signoff.api.compatible.members import RequestError
from signoff.api.services import Services
from signoff.capabilities.gateway.asking import Asked, Caller
from signoff.capabilities.gateway.model import Decide
from signoff.catalog.authority import Authority, PolicyBook
from signoff.catalog.model import Release
from signoff.catalog.models import ModelsConfig
from signoff.core.actors import Actor
from signoff.core.errors import NotFoundError, did_you_mean
from signoff.core.labels import DataClass, Labels, Trust
from signoff.governance.identity.model import read_key_text
from signoff.governance.policy.served_requests import direct_model_request, gateway_request
from signoff.workflows.model import Risk

MAX_BOOKS = 32
"""Of how many environments the policies are kept prepared."""
LATENCY_MOST_S = 600.0
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}", re.ASCII)
_RISKS = ("low", "medium", "high")
_FLAGS = {"true": True, "false": False}


class Places:
    """Finds the release and the policies of a call.

    Args:
        services: the application's.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._books: OrderedDict[str, PolicyBook] = OrderedDict({services.environment: services.policies})

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
        return Place(actor, name, book.environment, release, authority)

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


@dataclass(frozen=True, slots=True)
class Place:
    """Who asks, of which release, and who decides."""

    actor: Actor
    project: str
    environment: str
    release: Release
    authority: Authority

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
            ForbiddenError: no policy permits `gateway.use`.
            NotFoundError: there is no such model or route.
        """
        labels, risk = _labels(headers), _risk(headers)
        self.authority.decide(self._use(model, task, labels, risk)).require()
        if model not in self.config.models and self.config.route_named(model) is None:
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
                team=_word(headers, "signoff-team"),
                key=key_of(headers),
            ),
            model=model,
            task=task,
            data_labels=labels,
            risk=risk,
            latency_s=_seconds(headers),
            region=_word(headers, "signoff-region"),
            continues=_flag(headers, "signoff-continues"),
            cached=_flag(headers, "signoff-cache"),
            sticky=_word(headers, "signoff-sticky"),
        )

    def may_use(self, model: str) -> bool:
        """Whether a list shows it: for the least harmful data."""
        labels = Labels(DataClass.PUBLIC, Trust.UNTRUSTED)
        return self.authority.decide(self._use(model, "chat", labels, "low")).permit

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

    def _use(self, model: str, task: str, labels: Labels, risk: Risk) -> Any:
        return gateway_request(
            self.actor, model=model, task=task, labels=labels, risk=risk, environment=self.environment
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


def _labels(headers: Mapping[str, str]) -> Labels:
    """Whatever a program sends is untrusted: only its class and where it may be are the program's to say."""
    said = headers.get("signoff-data-class", "internal").strip().upper()
    if said not in DataClass.__members__:
        raise _bad("signoff-data-class", f"one of {', '.join(name.lower() for name in DataClass.__members__)}")
    regions = [region.strip() for region in headers.get("signoff-residency", "").split(",") if region.strip()]
    if not all(_WORD.fullmatch(region) for region in regions):
        raise _bad("signoff-residency", "names of regions, with commas between them")
    return Labels(DataClass[said], Trust.UNTRUSTED, frozenset(regions))


def _risk(headers: Mapping[str, str]) -> Risk:
    said = headers.get("signoff-risk", "low").strip().lower()
    if said not in _RISKS:
        raise _bad("signoff-risk", "low, medium or high")
    return said


def _word(headers: Mapping[str, str], name: str) -> str:
    said = headers.get(name, "").strip()
    if said and not _WORD.fullmatch(said):
        raise _bad(name, "one word")
    return said


def _flag(headers: Mapping[str, str], name: str) -> bool:
    found = _FLAGS.get(headers.get(name, "false").strip().lower())
    if found is None:
        raise _bad(name, "true or false")
    return found


def _seconds(headers: Mapping[str, str]) -> float | None:
    said = headers.get("signoff-latency")
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LATENCY_MOST_S:
        raise _bad("signoff-latency", f"seconds, more than 0 and at most {LATENCY_MOST_S:g}")
    return seconds


def _bad(name: str, allowed: str) -> RequestError:
    return RequestError(f"The header '{name}' has to be {allowed}.", param=name)
