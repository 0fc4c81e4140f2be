"""Keys of vaults: read from a file, replaced by newer ones, and good for what they sealed only."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from signoff.core.errors import InvalidError, UnavailableError
from signoff.governance.privacy.sealing import VaultKeys, VaultSettings, key_id

OLD, NEW = b"o" * 32, b"n" * 32


def written(path: Path, *lines: str) -> VaultSettings:
    path.write_text("\n".join(lines), "ascii")
    return VaultSettings(keys_file=path)


def test_the_first_key_of_the_file_seals_and_all_of_them_open(tmp_path: Path) -> None:
    old, new = (b64encode(key).decode() for key in (OLD, NEW))
    by, sealed = VaultKeys.of(written(tmp_path / "keys", old, "")).sealed(b"secret", b"here")
    keys = VaultKeys.of(written(tmp_path / "keys", new, old))
    assert by == key_id(OLD)
    assert b"secret" not in sealed
    assert keys.opened(by, sealed, b"here") == b"secret"
    again = keys.sealed(b"secret", b"here")
    assert again[0] == key_id(NEW)
    assert again[1] != keys.sealed(b"secret", b"here")[1], "never the same nonce"


def test_without_a_key_nothing_is_sealed_and_plain_data_is_read_with_one() -> None:
    assert VaultKeys.of(VaultSettings()).sealed(b"plain", b"") == ("", b"plain")
    assert VaultKeys([OLD]).opened("", b"plain", b"") == b"plain"


def test_what_was_changed_or_moved_does_not_open() -> None:
    keys = VaultKeys([OLD])
    by, sealed = keys.sealed(b"secret", b"here")
    for data, bound in ((sealed, b"there"), (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"here"), (sealed[12:], b"here")):
        with pytest.raises(UnavailableError, match="does not open"):
            keys.opened(by, data, bound)
    with pytest.raises(UnavailableError, match="SIGNOFF_VAULT__KEYS_FILE"):
        VaultKeys([NEW]).opened(by, sealed, b"here")


def test_a_file_that_is_no_list_of_keys_is_told_without_its_content(tmp_path: Path) -> None:
    path, good = tmp_path / "keys", b64encode(OLD).decode()
    for lines, why in (
        ((good, "c2hvcnQ="), "line 2 is no key: 32 bytes in base64"),
        (("not*base64",), "line 1 is no key"),
        (("",), "has 0 keys"),
        ((good,) * 33, "has 33 keys"),
    ):
        with pytest.raises(InvalidError, match=why) as caught:
            VaultKeys.of(written(path, *lines))
        assert not any(line in str(caught.value) for line in lines if line)
    with pytest.raises(InvalidError, match="cannot be read: FileNotFoundError"):
        VaultKeys.of(VaultSettings(keys_file=tmp_path / "none"))
