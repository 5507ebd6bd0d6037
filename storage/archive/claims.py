"""What PostgreSQL knows of the archive: which segments its table shall name, and which ones it may.

A segment is claimed before the table names it and released when no snapshot does any more. The sweep
leaves the object of a claimed one alone, for a day (`storage.logs.offload`): when the archive cannot be
reached for longer, what was deleted goes nevertheless.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_CLAIM = statement("claim_for_archive")
_HELD = statement("held_for_archive")
_RELEASE = statement("release_from_archive")
_BACKLOG = statement("archive_backlog")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalSegment:
    """A published segment that stays as it is until something in it is deleted, with lines of one day
    (UTC)."""

    key: str
    rows: int
    bytes: int
    min_timestamp: dt.datetime
    max_timestamp: dt.datetime
    min_run_id: uuid.UUID
    max_run_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """`final` segments there are, of which `waiting` are in no snapshot yet, the longest since
    `waiting_since` and `spanning` have lines of several days; `held` were replaced and some snapshot may still name them; `begun` when there ever was a
    snapshot."""

    final: int
    waiting: int
    waiting_since: dt.datetime | None
    spanning: int
    held: int
    begun: bool


async def claim(conn: Conn) -> list[FinalSegment]:
    """All final segments, claimed."""
    return [FinalSegment(**dict(row)) for row in await conn.fetch(_CLAIM)]


async def held(conn: Conn, after: int, limit: int) -> dict[int, str]:
    """Keys of replaced segments that are claimed, by ids above `after`."""
    return {row["id"]: row["key"] for row in await conn.fetch(_HELD, after, limit)}


async def release(conn: Conn, ids: list[int]) -> None:
    """Let the sweep delete replaced segments."""
    await conn.execute(_RELEASE, ids)


async def backlog(conn: Conn) -> Backlog:
    """How far the archive is behind, and what it holds."""
    row = await conn.fetchrow(_BACKLOG)
    assert row is not None
    return Backlog(**dict(row))
