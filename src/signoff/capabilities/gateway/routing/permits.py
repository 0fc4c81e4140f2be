"""Whether one model may be asked at all: policy first, then set-up, then what it does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from signoff.capabilities.gateway.chat import Chats
from signoff.capabilities.gateway.connected import Providers
from signoff.capabilities.gateway.failures import CallFailed, Failure
from signoff.capabilities.gateway.model import Decide, ObligationLike
from signoff.capabilities.gateway.protection import CARRIED_OUT
from signoff.capabilities.gateway.provider import Provider, ProviderError
from signoff.capabilities.gateway.routing.model import Candidate
from signoff.catalog.models import ModelSpec

KNOWN_KINDS = 128
"""Of how many classes of providers it is kept what they do."""


async def permitted(spec: ModelSpec, providers: Providers, task: str, prompt: str, decide: Decide) -> Candidate:
    """The model with its provider and what its permit demands.

    Raises:
        CallFailed: policy forbids it, its permit demands what is not done here, it is not set up, or it does not do
            this kind of task.
    """
    provider: Provider | None = None
    wrong: ProviderError | None = None
    try:
        provider = await providers.of(spec)
    except ProviderError as error:
        wrong = error
    obligations = decided(spec, provider, task, prompt, decide)
    if provider is None:
        assert wrong is not None
        raise CallFailed(Failure(spec.name, wrong.kind, wrong.detail))
    able = _talks(type(provider)) if task == "chat" else task in provider.tasks
    if not able:
        raise CallFailed(Failure(spec.name, "cannot", f"{provider.name} does not do the task '{task}'."))
    return Candidate(spec, provider, obligations)


def decided(
    spec: ModelSpec, provider: Provider | None, task: str, prompt: str, decide: Decide
) -> Sequence[ObligationLike]:
    """What policy's permit demands.

    Raises:
        CallFailed: policy forbids it, or its permit demands what is not done here.
    """
    attributes: dict[str, Any] = {
        "provider": spec.provider,
        "local": provider is not None and provider.local,
        "task": task,
        "prompt": prompt,
        "region": str(spec.settings.get("region") or ""),
    }
    decision = decide(spec.name, attributes)
    if not decision.permit:
        by = ", ".join(decision.policies) or "default deny"
        raise CallFailed(Failure(spec.name, "forbidden", f"Policy forbids it ({by}).", policies=decision.policies))
    unmet = [duty for duty in decision.obligations if duty.kind not in CARRIED_OUT]
    if unmet:
        # Whoever cannot do what a permit demands must not act on it (XACML 3.0, section 7.2, deny-biased PEP).
        duties = ", ".join(f'@{duty.kind}("{duty.value}")' for duty in unmet)
        by = ", ".join(decision.policies)
        detail = f"The permit ({by}) demands {duties}, not done here."
        raise CallFailed(Failure(spec.name, "forbidden", detail, policies=decision.policies))
    return decision.obligations


@lru_cache(maxsize=KNOWN_KINDS)
def _talks(kind: type[Provider]) -> bool:
    """Whether a provider can be talked to; asking a protocol takes longer than deciding by policy."""
    return issubclass(kind, Chats)
