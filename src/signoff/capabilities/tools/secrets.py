"""Credentials of tools, from the worker's environment at the time of the call. A release never holds one."""

from __future__ import annotations

import os
from collections.abc import Mapping

from signoff.capabilities.tools.model import SecretSource

_PREFIX = "SIGNOFF_SECRET_"
_OURS = "SIGNOFF_"
_SHORTEST_MASKED = 4
MASK = "***"


def environment_secrets(environment: Mapping[str, str] | None = None) -> SecretSource:
    """Secrets from environment variables: `secret.NAME` is `SIGNOFF_SECRET_NAME`, `env.NAME` is `NAME`.

    `env.` does not reach Signoff's own settings, so that a tool's contract cannot send the database's password away.
    """
    source = os.environ if environment is None else environment

    def find(reference: str) -> str | None:
        kind, _, name = reference.partition(".")
        if kind == "secret":
            return source.get(_PREFIX + name)
        return None if name.startswith(_OURS) else source.get(name)

    return find


def mask_secrets(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text with the value of every `SIGNOFF_SECRET_…` variable in it replaced.

    Values shorter than four characters stay: they would mask ordinary words.
    """
    source = os.environ if environment is None else environment
    for name, value in source.items():
        if name.startswith(_PREFIX) and len(value) >= _SHORTEST_MASKED:
            text = text.replace(value, MASK)
    return text
