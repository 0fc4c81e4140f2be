"""Which models a demo or benchmark uses: the embedded ones, a local LLM, or a vendor's by its key."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from signoff.core.errors import InvalidError, UnavailableError

SIGNOFF = str(Path(sys.executable).parent / "signoff")
EMBEDDED = ("local/minilm",)


@dataclass(frozen=True)
class Choice:
    """A profile of `models.yaml`, and what to tell people of it."""

    profile: str | None
    about: str


def choose(llm: str) -> Choice:
    """The models by name: `auto` takes a vendor whose key is set, else the embedded ones.

    Raises:
        InvalidError: the name is unknown, or the vendor's variables are not set.
        UnavailableError: a local model is not here and cannot be fetched.
    """
    vendors = {
        "compatible": ("OPENAI_BASE_URL", f"the OpenAI-compatible endpoint {os.environ.get('OPENAI_BASE_URL', '')}"),
        "openai": ("OPENAI_API_KEY", "OpenAI"),
        "anthropic": ("ANTHROPIC_API_KEY", "Anthropic"),
    }
    if llm == "auto":
        llm = next((name for name, (variable, _) in vendors.items() if os.environ.get(variable)), "embedded")
    if llm == "embedded":
        _pull(*EMBEDDED)
        return Choice(None, "the embedded models local/minilm and local/fields: no key, no network")
    if llm == "local":
        _pull(*EMBEDDED, "local/qwen")
        return Choice("qwen", "local/qwen, a language model on this machine, beside local/minilm for search")
    if llm not in vendors:
        names = ", ".join(["auto", "embedded", "local", *vendors])
        raise InvalidError(f"There are no models '{llm}'. LLM is one of: {names}.")
    variable, about = vendors[llm]
    if not os.environ.get(variable):
        raise InvalidError(f"LLM={llm} needs the variable {variable}.")
    _pull(*EMBEDDED)
    return Choice(llm, f"{about}, and local/minilm for search")


def _pull(*names: str) -> None:
    """Fetch what is not there yet; the command tells size, licence and hash first, and checks the hash."""
    for name in names:
        if subprocess.run([SIGNOFF, "models", "pull", name, "--quiet"], check=False).returncode:
            raise UnavailableError(f"The model {name} could not be fetched.")
