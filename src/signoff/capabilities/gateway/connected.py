"""Configured models with their connections: made when first used, kept, the one unused longest closed first."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Mapping

import orjson

from signoff.capabilities.gateway.configuration import resolve, variables
from signoff.capabilities.gateway.pricing import price
from signoff.capabilities.gateway.provider import Provider, ProviderError, ProviderFactory
from signoff.catalog.models import ModelSpec
from signoff.core.identities import OncePerObject
from signoff.core.ids import digest

MAX_PROVIDERS = 64
"""How many configured models keep their connections; a call under way at another one goes on to its end."""


class Providers:
    """The models of all projects that this process serves, by what they are configured to.

    Args:
        factories: what makes a provider, by provider kind.
        environment: where `${env.NAME}` is looked up; the process's where not given.
    """

    def __init__(self, factories: Mapping[str, ProviderFactory], environment: Mapping[str, str] | None) -> None:
        self._factories = dict(factories)
        self._environment = os.environ if environment is None else environment
        self._providers: OrderedDict[str, Provider] = OrderedDict()
        self._making = asyncio.Lock()
        self._variables = OncePerObject(variables)
        self._keys: OrderedDict[int, tuple[ModelSpec, int, str]] = OrderedDict()
        """By the model as it was read: which one it is, as long as the variables that it names stay the same."""

    async def of(self, spec: ModelSpec) -> Provider:
        """The provider of a model.

        Raises:
            ProviderError: there is no such kind, or a setting is missing or wrong.
        """
        factory = self._factories.get(spec.provider)
        if factory is None:
            known = ", ".join(sorted(self._factories))
            raise ProviderError("setup", f"There is no provider '{spec.provider}'; there are: {known}.")
        # Their hash, so that keys of the vendors are not kept in a second place.
        filled = hash(tuple(self._environment.get(name) for name in self._variables(spec)))
        known = self._keys.get(id(spec))
        if known is not None and known[0] is spec and known[1] == filled:
            provider = self._providers.get(known[2])
            if provider is not None:
                self._providers.move_to_end(known[2])
                return provider
        resolved = resolve(spec, self._environment)
        # A digest, for the same reason.
        key = digest(orjson.dumps([spec.name, spec.provider, dict(resolved.settings)], option=orjson.OPT_SORT_KEYS))
        async with self._making:
            provider = self._providers.get(key)
            if provider is None:
                # In a thread, because a vendor's SDK takes a second to import and no other run should wait for it.
                provider = self._providers[key] = await asyncio.to_thread(_make, factory, resolved)
            self._providers.move_to_end(key)
            if len(self._providers) > MAX_PROVIDERS:
                _, oldest = self._providers.popitem(last=False)
                await oldest.aclose()
        self._keys[id(spec)] = (spec, filled, key)
        if len(self._keys) > MAX_PROVIDERS:
            self._keys.popitem(last=False)
        return provider

    async def aclose(self) -> None:
        """Give back every connection."""
        while self._providers:
            _, provider = self._providers.popitem()
            await provider.aclose()


def _make(factory: ProviderFactory, spec: ModelSpec) -> Provider:
    provider = factory(spec)
    # The price lists take most of a second to read: here, where nobody else waits.
    price(spec, local=provider.local, input_tokens=0, output_tokens=0)
    return provider
