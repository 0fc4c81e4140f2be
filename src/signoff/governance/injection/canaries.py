"""Finds marks that may not leave, also where they were encoded, spaced out or turned round."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Collection, Iterator
from urllib.parse import quote

from signoff.core.errors import InvalidError

MIN_CANARY_CHARACTERS = 8


def canary_places(text: str, canaries: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where a canary begins and ends in the text, once per canary and form.

    Raises:
        InvalidError: a canary is shorter than `MIN_CANARY_CHARACTERS`.
    """
    if not canaries:
        return
    squeezed = [(character.casefold(), index) for index, character in enumerate(text) if character.isalnum()]
    letters = "".join(character[0] for character, _ in squeezed)
    for canary in canaries:
        if len(canary) < MIN_CANARY_CHARACTERS:
            raise InvalidError(f"A canary needs {MIN_CANARY_CHARACTERS} characters at least.")
        for form in _exact_forms(canary):
            for match in re.finditer(re.escape(form), text):
                yield match.span()
        for form in _squeezed_forms(canary):
            at = letters.find(form) if len(form) >= MIN_CANARY_CHARACTERS else -1
            if at >= 0:
                yield squeezed[at][1], squeezed[at + len(form) - 1][1] + 1


def _exact_forms(canary: str) -> set[str]:
    """Base64 at its three alignments, without the characters that depend on the neighbours; percent-encoded."""
    data = canary.encode()
    forms = {canary, quote(canary, safe=""), "".join(f"%{byte:02X}" for byte in data)}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        whole = encoded[(0, 2, 3)[shift] : len(encoded) - (1 if (len(data) + shift) % 3 else 0)]
        forms |= {whole, whole.replace("+", "-").replace("/", "_")}
    return forms


def _squeezed_forms(canary: str) -> set[str]:
    """As letters and digits alone, small: itself, backwards, ROT13, hexadecimal."""
    plain = "".join(character.casefold()[0] for character in canary if character.isalnum())
    return {plain, plain[::-1], codecs.encode(plain, "rot13"), canary.encode().hex()}
