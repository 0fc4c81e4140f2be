"""Which failures of the driver mean "not now", which that a text cannot be kept; all others stay what they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from signoff.core.errors import InvalidError, UnavailableError
from signoff.foundation.database.connection import driver

SHARED_ANSWER_S = 10.0
"""How long a question may take that many wait for together, in seconds."""

_LOST: tuple[type[BaseException], ...] = (
    driver.PostgresConnectionError,  # class 08
    driver.AdminShutdownError,  # 57P01: the server is being stopped
    driver.CrashShutdownError,  # 57P02
    driver.CannotConnectNowError,  # 57P03: it starts, recovers or stops
    driver.TooManyConnectionsError,  # 53300
    driver.IdleInTransactionSessionTimeoutError,  # 25P03: it ended a session that held a transaction open
    driver.InternalClientError,  # the server's parting words came between two statements; the driver is out of step
    ConnectionError,
)
_SHORTAGE: tuple[type[BaseException], ...] = (
    driver.InsufficientResourcesError,  # class 53: disk full, out of memory
    driver.PostgresIOError,  # 58030: it could not write or read its files
    driver.QueryCanceledError,  # 57014: the statement timeout
    driver.LockNotAvailableError,  # 55P03: the lock timeout
    driver.TransactionRollbackError,  # class 40: it broke a deadlock by failing this one; once more, it goes through
)
_UNSTORABLE: tuple[type[BaseException], ...] = (
    driver.CharacterNotInRepertoireError,  # 22021: a NUL in a text
    driver.UntranslatableCharacterError,  # 22P05: one in JSON
)
_REFUSED: tuple[type[BaseException], ...] = (
    driver.InvalidAuthorizationSpecificationError,  # class 28: unknown user, wrong password
    driver.InvalidCatalogNameError,  # 3D000: no such database
    driver.InsufficientPrivilegeError,
)


class DatabaseAwayError(UnavailableError):
    """No connection to our own PostgreSQL can be had now, or the one that was there is gone. Never a step's failure."""


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection is gone: a transaction that was open on it is rolled back, unless it was committing."""
    if isinstance(error, driver.InterfaceError):
        # The driver has one class for misuse and for a connection that closed under us; only its text tells them apart.
        return "closed" in str(error) or "released" in str(error)
    return isinstance(error, _LOST)


@contextmanager
def translated() -> Generator[None]:
    """Turn failures of the connection or shortages of the server into `UnavailableError`; let all others pass.

    Raises:
        InvalidError: somebody gave a text that PostgreSQL's have no place for, in whatever field it was.
    """
    try:
        yield
    except Exception as error:
        if is_connection_lost(error):
            raise DatabaseAwayError(f"The connection to PostgreSQL was lost: {error}") from error
        if isinstance(error, driver.ReadOnlySQLTransactionError):  # 25006: what takes over is asked before it may write
            detail = f"PostgreSQL takes no writes now; it recovers, is a standby, or was set to read only: {error}"
            raise DatabaseAwayError(detail) from error
        if isinstance(error, _SHORTAGE):
            raise UnavailableError(f"PostgreSQL could not do it now: {error}") from error
        if isinstance(error, _UNSTORABLE):
            raise InvalidError("A text has a NUL character (U+0000): leave it out.") from error
        raise


@asynccontextmanager
async def answered_within(seconds: float = SHARED_ANSWER_S) -> AsyncGenerator[None]:
    """Bound a question that many wait for together, as cutting off one who waits does not end it.

    On a network that has lost a connection's way there is no answer ever, and nobody could ask another connection.

    Raises:
        DatabaseAwayError: there is none in time.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise DatabaseAwayError(f"PostgreSQL did not answer within {seconds:g} s") from error


def connect_problem(error: BaseException) -> UnavailableError | None:
    """The problem behind a failed attempt to connect, or none where the error is of another kind."""
    if isinstance(error, driver.InvalidParameterValueError) and "role" in str(error):
        return UnavailableError(f"The database has not been migrated yet: {error}")
    if isinstance(error, _REFUSED):
        return UnavailableError(f"PostgreSQL refuses the configured user or database: {error}")
    if is_connection_lost(error) or isinstance(error, (OSError, TimeoutError, *_SHORTAGE)):
        return DatabaseAwayError(f"PostgreSQL does not answer: {str(error) or type(error).__name__}")
    return None


def may_recover(error: BaseException) -> bool:
    """Whether connecting again a moment later can help: the server restarts, or all its connections are taken."""
    return is_connection_lost(error) or isinstance(error, (OSError, TimeoutError))
