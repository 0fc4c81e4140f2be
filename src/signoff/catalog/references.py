"""`${env.NAME}`, `${secret.NAME}` and `${settings.name}` in constants of a project.

They are found here, and resolved by whoever makes the call, in the worker: a release never holds what they stand for.
"""

from __future__ import annotations

import re

_REFERENCE = re.compile(r"\$\{(?P<root>[a-z]+)\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")


def find_references(text: str) -> tuple[tuple[str, str], ...]:
    """Root and name of each reference in a text, e.g. `("env", "OPENAI_API_KEY")`."""
    return tuple((match["root"], match["name"]) for match in _REFERENCE.finditer(text))
