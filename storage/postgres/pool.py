"""The connection pool, the types its connections speak, and driver errors made ours.

Times are UTC. `uuid` columns come back as `uuid.UUID`, `jsonb` as plain Python values.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TypeAlias

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from storage.errors import Busy, Conflict, InvalidValue, Unavailable

Conn: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# Longer than any statement of ours may take; a stuck server must not hold a request for ever.
STATEMENT_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 10.0

_encode = msgspec.json.Encoder(enc_hook=str).encode
_decode = msgspec.json.Decoder().decode


def _encode_json(value: object) -> bytes:
    # The binary form of jsonb is a version byte before the text.
    return b"\x01" + _encode(value)


def _decode_json(data: bytes) -> object:
    return _decode(data[1:])


async def _prepare(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    await conn.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=_encode_json,
        decoder=_decode_json,
    )


async def _keep_session(_: "asyncpg.Connection[asyncpg.Record]") -> None:
    """The driver would send four statements on every release to clear what a session may hold. Ours
    hold nothing: LISTEN and the migration lock have connections of their own, and a transaction
    left open is rolled back before this is asked. It saves a round trip per request."""


async def connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection outside any pool, for work that must own it (migrations, LISTEN)."""
    with driver_errors():
        conn = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_SECONDS)
        await _prepare(conn)
        return conn


async def open_pool(dsn: str, *, max_size: int, min_size: int = 1) -> Pool:
    """Open a pool of at most `max_size` connections.

    Raises:
        Unavailable: the server does not answer, or refuses the credentials.
    """
    with driver_errors():
        return await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            init=_prepare,
            reset=_keep_session,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=STATEMENT_TIMEOUT_SECONDS,
        )


@contextlib.contextmanager
def driver_errors() -> Iterator[None]:
    """Translate asyncpg's errors into the family of `storage.errors`."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        raise Conflict(error.constraint_name or "", str(error)) from error
    except (
        asyncpg.DeadlockDetectedError,
        asyncpg.SerializationError,
        asyncpg.LockNotAvailableError,
    ) as error:
        raise Busy(str(error), retry_after=0.1) from error
    except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
        # The second: a text too long for an index, a document nested too deeply.
        raise InvalidValue(str(error)) from error
    except (
        asyncpg.PostgresConnectionError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError,
        asyncpg.PostgresSystemError,
        # After a failover the connection leads to what is a standby now.
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.InterfaceError,
        OSError,
        TimeoutError,
    ) as error:
        raise Unavailable("postgres", str(error) or type(error).__name__) from error


@contextlib.asynccontextmanager
async def _leave_a_standby(pool: Pool) -> AsyncIterator[None]:
    """Let no connection be used again when one turns out to lead to a server that cannot be written to:
    new ones may find the server that can."""
    try:
        yield
    except (asyncpg.ReadOnlySQLTransactionError, Unavailable) as error:
        if asyncpg.ReadOnlySQLTransactionError in (type(error), type(error.__cause__)):
            await pool.expire_connections()
        raise


@contextlib.asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Conn]:
    """A connection inside a READ COMMITTED transaction; committed on exit, rolled back on error."""
    with driver_errors():
        async with (
            _leave_a_standby(pool),
            pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as conn,
            conn.transaction(),
        ):
            yield conn


@contextlib.asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Conn]:
    """A connection inside a read-only REPEATABLE READ transaction: every statement sees the
    database as it was at the first one."""
    with driver_errors():
        async with (
            pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield conn


@contextlib.asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Conn]:
    """A connection for single statements, each its own transaction."""
    with driver_errors():
        async with (
            _leave_a_standby(pool),
            pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as conn,
        ):
            yield conn
