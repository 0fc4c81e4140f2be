"""Brings a database to the schema of this version: plain SQL files, applied once each and in order, by yoyo."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from signoff.core.errors import UnavailableError
from signoff.foundation.database.addresses import require_address, said_of
from signoff.foundation.database.preparing import require_encoding, require_version, to_prepare

MIGRATIONS_DIRECTORY = Path(__file__).parent / "migrations"
DEFAULT_WAIT_S = 600.0

# An arbitrary number that no other program on the server is likely to lock: the letters "signoff" in hexadecimal.
_LOCK_KEY = 0x7369676E6F6666
_FAILED = "The database could not be migrated"


def migrations_digest(directory: Path = MIGRATIONS_DIRECTORY) -> str:
    """The SHA-256 over names and contents of all migrations: the same digest means the same schema."""
    total = hashlib.sha256()
    for path in sorted(directory.glob("*.sql")):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def migrate(url: str, *, wait_s: float = DEFAULT_WAIT_S, directory: Path = MIGRATIONS_DIRECTORY) -> tuple[str, ...]:
    """Apply what is missing and return the ids of what was applied. Blocking: call it in a thread.

    Two processes that start at once are safe: an advisory lock of PostgreSQL, which dies with its connection, lets one
    work and the other wait. (yoyo's own lock is a row that outlives a killed process.)

    Raises:
        InvalidError: the URL cannot be read.
        UnavailableError: the server does not answer or is too old, the database is not in UTF-8, another process holds
            the lock too long, or a statement failed.
    """
    require_address(url)
    psycopg: Any = importlib.import_module("psycopg")
    try:
        with psycopg.connect(url, autocommit=True) as lock:
            require_version(lock.info.server_version)
            require_encoding(lock.info.parameter_status("server_encoding"), lock.info.dbname)
            lock.execute(f"SET lock_timeout = {int(wait_s * 1000)}")
            lock.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
            try:
                return _apply(url, directory)
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported) as error:
                what_to_do = to_prepare(lock, lock.info.user, lock.info.dbname)
                raise UnavailableError(f"{_FAILED}: {said_of(error, url)}\n{what_to_do}".rstrip()) from error
    except psycopg.Error as error:
        raise UnavailableError(f"{_FAILED}: {said_of(error, url)}") from error


def _apply(url: str, directory: Path) -> tuple[str, ...]:
    yoyo: Any = importlib.import_module("yoyo")
    connections: Any = importlib.import_module("yoyo.connections")
    backend_class: Any = importlib.import_module("signoff.foundation.database.yoyo_backend").PostgresBackend
    uri = f"postgresql+psycopg{url[len(urlsplit(url).scheme) :]}"
    with backend_class(connections.parse_uri(uri), yoyo.default_migration_table) as backend:
        backend.init_database()
        missing = backend.to_apply(yoyo.read_migrations(str(directory)))
        names = tuple(migration.id for migration in missing)
        backend.apply_migrations(missing)
    return names
