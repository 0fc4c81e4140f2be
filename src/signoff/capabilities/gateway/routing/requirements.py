"""What a route and a request demand of a model, and what a model lacks."""

from __future__ import annotations

from signoff.capabilities.gateway.asking import Asked
from signoff.capabilities.gateway.failures import Failure
from signoff.capabilities.gateway.model_facts import ModelFacts, lies_in
from signoff.capabilities.gateway.pricing import price
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.routing.model import Candidate, Needs
from signoff.catalog.models import ModelSpec, Requires, Route
from signoff.core.money import Cost


def joined(one: Requires, other: Requires) -> Requires:
    """What meets both."""
    return Requires(
        one.modalities | other.modalities,
        one.capabilities | other.capabilities,
        max(one.context_tokens, other.context_tokens),
    )


def lacking(spec: ModelSpec, facts: ModelFacts, needs: Requires, route: Route, asked: Asked) -> Failure | None:
    """Why a model cannot be asked; none where it can. What nobody knows of it excludes nothing.

    The kind says whose the reason is: `forbidden` (the data may not go there), `cannot` (the request asks for what the
    model does not do, or for another place), `context_overflow` (it is too long for it).
    """
    kinds: list[str] = []
    missing: list[str] = []
    if asked.data_labels.data_class > spec.data_class:
        word, highest = asked.data_labels.data_class.name.lower(), spec.data_class.name.lower()
        kinds.append("forbidden")
        missing.append(f"the data is {word}, and it takes up to {highest} (`data_class`)")
    for region in dict.fromkeys((asked.region, route.region)):
        if not lies_in(spec, region):
            where = f"is in {spec.region}" if spec.region else "does not say its `region`"
            kinds.append("cannot")
            missing.append(f"it {where}, not in {region}")
    if facts.modalities is not None and (blind := needs.modalities - facts.modalities):
        kinds.append("cannot")
        missing.append(f"it does not read {_words(blind)} (`modalities`): name a model or route that does")
    if facts.capabilities is not None and (unable := needs.capabilities - facts.capabilities):
        kinds.append("cannot")
        missing.append(f"it does not do {_words(unable)} (`capabilities`): name a model or route that does")
    if facts.context_tokens is not None and needs.context_tokens > facts.context_tokens:
        kinds.append("context_overflow")
        missing.append(f"it reads {facts.context_tokens:,} tokens, and {needs.context_tokens:,} are needed")
    return Failure(spec.name, kinds[0], f"{'; '.join(missing)}.") if missing else None


def cost_of(candidate: Candidate, needs: Needs) -> Cost | None:
    """What the call may cost with that model; none where nobody knows."""
    local = candidate.provider.local
    try:
        return price(candidate.spec, local=local, input_tokens=needs.input_tokens, output_tokens=needs.output_tokens)
    except ProviderError:
        return None


def _words(found: frozenset[str]) -> str:
    return ", ".join(sorted(found))
