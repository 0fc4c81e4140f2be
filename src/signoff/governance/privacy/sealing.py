"""Encryption of what runs' vaults keep, by keys of the deployment: AES-256-GCM (NIST SP 800-38D), a new nonce each time.

The keys are in a file, one a line. The first seals; all of them open, so that a key is replaced by a new first line.
What is sealed is bound to its organisation and to the vault's own randomness: moved elsewhere it does not open.
"""

from __future__ import annotations

import binascii
import hashlib
import os
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from signoff.core.errors import InvalidError, UnavailableError

KEY_BYTES = 32
NONCE_BYTES = 12
"""As GCM wants it; random ones are safe for 4 billion writes under one key (SP 800-38D, section 8.3)."""
MAX_KEYS = 32


class VaultSettings(BaseModel):
    """How runs' vaults are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys_file: Path | None = Field(
        default=None, description="Keys that encrypt vaults: 32 bytes in base64 a line, the newest first; none: plain."
    )


class VaultKeys:
    """The keys of a process.

    Args:
        keys: of 32 bytes, the one that seals first; none leaves vaults as they are.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._ciphers: dict[str, Any] = {}
        if keys:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  (an extra)
            except ImportError:
                raise InvalidError(
                    "Keys of vaults need the package cryptography: pip install 'signoff[vault]'."
                ) from None
            self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._first = next(iter(self._ciphers), "")

    @classmethod
    def of(cls, settings: VaultSettings) -> VaultKeys:
        """The keys of the file that the settings name.

        Raises:
            InvalidError: it cannot be read, or has a line that is no key. The error has no key in it.
        """
        if settings.keys_file is None:
            return cls()
        where = f"SIGNOFF_VAULT__KEYS_FILE ({settings.keys_file})"
        try:
            lines = settings.keys_file.read_text("ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidError(f"{where} cannot be read: {type(error).__name__}.") from None
        keys = [_key(line.strip(), f"{where}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
        if not 1 <= len(keys) <= MAX_KEYS:
            raise InvalidError(f"{where} has {len(keys)} keys; it needs 1 to {MAX_KEYS}.")
        return cls(keys)

    def sealed(self, data: bytes, bound: bytes) -> tuple[str, bytes]:
        """The id of the key that sealed it, and what was sealed; no id and the data itself where there is no key."""
        if not self._first:
            return "", data
        nonce = os.urandom(NONCE_BYTES)
        return self._first, nonce + self._ciphers[self._first].encrypt(nonce, data, bound)

    def opened(self, by: str, data: bytes, bound: bytes) -> bytes:
        """What was sealed by the key of that id; plain data where there is none.

        Raises:
            UnavailableError: this process does not have the key, or the data was changed or is of another vault.
        """
        if not by:
            return data
        if by not in self._ciphers:
            raise UnavailableError(
                f"A run's vault is encrypted by the key {by}, which this process does not have: "
                "SIGNOFF_VAULT__KEYS_FILE has to name it on every worker."
            )
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (an extra)

        try:
            return self._ciphers[by].decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound)
        except InvalidTag:
            raise UnavailableError(f"A run's vault does not open by its key {by}: its row was changed.") from None


def key_id(key: bytes) -> str:
    """What names a key without telling it."""
    return hashlib.sha256(b"signoff vault key\0" + key).hexdigest()[:16]


def _key(text: str, where: str) -> bytes:
    try:
        key = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidError(f"{where} is no key: {KEY_BYTES} bytes in base64, as 'openssl rand -base64 32' writes them.")
    return key
